"""Exported policies behind vLLM's OpenAI-compatible server, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine_bridge.policy import load_policy
from tests.vllm.server import Server
from tests.vllm.world import draw_requests, export, simulated_order

BUSY = [{"prompt": [3 + place] * 50, "output": 420, "xargs": {"predicted": 1}} for place in range(2)]
"""Hold all places until the others have come."""
FAULTS = {
    1: "invalid_answer",  # NaN
    2: "invalid_answer",  # too few
    3: "invalid_decision",  # text
    4: "exception",
    5: "wall_timeout",  # never ends
    6: "protocol_error",  # ends its process
    7: "policy_violation",  # kills another process
    8: "memory",
}
"""What `faulty.py` does by number, and what the metrics call it."""
PLACES = ("--max-num-seqs", "2", "--max-model-len", "512", "--max-num-batched-tokens", "512")


@pytest.fixture(scope="module")
def served_sjf(model: Path, sjf: Path) -> Iterator[Server]:
    """A server that schedules by SJF."""
    with Server(model, sjf, *PLACES) as server:
        yield server.wait()


@pytest.fixture(scope="module")
def served_faulty(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose policy fails on demand."""
    folder = export(Path(__file__).parent / "faulty.py", tmp_path_factory.mktemp("faulty") / "export")
    with Server(model, folder, *PLACES, SCHED_POLICY_ANSWER_MS="500", SCHED_POLICY_RESTARTS="100") as server:
        yield server.wait()


def likeness(order: list[int], other: list[int]) -> float:
    """Spearman's rank correlation of two orders of the same requests."""
    return float(np.corrcoef([other.index(number) for number in order], range(len(order)))[0, 1])


def test_requests_over_http_finish_as_the_simulator_predicts(served_sjf: Server, sjf: Path) -> None:
    """In the order of the simulator, but for steps in which an answer overtakes another on its way to the client."""
    requests = draw_requests(20, seed=2)
    found, _ = served_sjf.complete_all(requests, BUSY)
    predicted = simulated_order(requests, load_policy(sjf / "policy.py"), max_running=2, max_tokens=512)
    assert likeness(found, predicted) > 0.95
    assert likeness(found, simulated_order(requests, max_running=2, max_tokens=512)) < 0.5


def test_the_policys_figures_stand_beside_vllms_own(served_sjf: Server) -> None:
    """Answers, times and the state of the policy at /metrics; no fallback, no restart."""
    served_sjf.complete_all(draw_requests(8, seed=3), BUSY)
    metrics = served_sjf.metrics()
    answers = 'scheduling_policy_answers_total{engine="0",function="rank_waiting"}'
    assert metrics[answers] > 0
    assert metrics['scheduling_policy_hook_seconds_count{engine="0"}'] >= metrics[answers] - 1
    assert metrics['scheduling_policy_active{engine="0"}'] == 1
    assert metrics.get('scheduling_policy_restarts_total{engine="0"}', 0) == 0
    assert not any("fallbacks" in name for name in metrics)
    assert "scheduling policy: rank_waiting, over vLLM" in served_sjf.log()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_policy_that_fails_never_stops_serving(served_faulty: Server, fault: int) -> None:
    """All is served, the fault is counted by its reason and logged, and afterwards the policy is asked again."""
    fallen = f'scheduling_policy_fallbacks_total{{engine="0",function="rank_waiting",reason="{FAULTS[fault]}"}}'
    before = served_faulty.metrics().get(fallen, 0)
    requests = draw_requests(6, seed=fault, longest=12)
    bad = [{**requests[0], "xargs": {"predicted": 100_000 + fault}}, *requests[1:]]
    _, tokens = served_faulty.complete_all(bad, BUSY)
    assert [len(each) for each in tokens] == [request["output"] for request in bad]
    metrics = served_faulty.metrics()
    assert metrics[fallen] > before
    answered = metrics['scheduling_policy_answers_total{engine="0",function="rank_waiting"}']
    assert f"rank_waiting: {FAULTS[fault]}" in served_faulty.log() or FAULTS[fault] == "invalid_answer"
    assert "first come, first served in this step" in served_faulty.log()
    order, _ = served_faulty.complete_all(requests, BUSY)
    assert served_faulty.metrics()['scheduling_policy_answers_total{engine="0",function="rank_waiting"}'] > answered
    assert sorted(order) == list(range(6))
