"""Sealed policies decide as trusted ones do, and hostile ones end in a verdict or are done without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine_bridge.online import simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, InvalidAnswer, Policy, Trusted
from engine_bridge.settings import EngineSettings
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sealed_policy import SealedPolicy
from evaluators.verdict import CandidateFault, Verdict
from tests.engine_bridge.traffic import ROUND_COST, make_workload

SHORTEST = """
def rank_waiting(view):
    return view.predicted + 0.001 * view.arrival

def token_budget(view):
    return min(view.max_tokens, 64 + 16 * view.running)
"""

HOSTILE = {
    "hang": ("while True: pass", Verdict.cpu_limit),
    "sleep": ("import time; time.sleep(60)", Verdict.wall_timeout),
    "crash": ("import ctypes; ctypes.string_at(0)", Verdict.crash),
    "raise": ("return view.nothing", Verdict.exception),
    "open a file": ("open('/etc/passwd').read()", None),
}
WRONG = {
    "NaN": "return view.prompt * float('nan')",
    "too short": "return view.prompt[1:]",
    "too many dimensions": "return view.prompt[None]",
    "no numbers": "return [str(x) for x in view.prompt]",
}
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=20, memory_mb=128, answer_seconds=2.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all tests: hostile policies must not harm it."""
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def serve(policy: Policy, *, strict: bool = True) -> Outcome:
    """A short burst of traffic that makes requests wait."""
    workload = make_workload(seed=3, n=30, rate=200.0)
    return simulate(
        workload, policy, EngineSettings(blocks=64, max_running=4, max_tokens=128), ROUND_COST, strict=strict
    )


def equal(one: Outcome, other: Outcome) -> bool:
    """Whether two runs gave the same tokens at the same times."""
    return np.array_equal(one.finish, other.finish) and np.array_equal(one.first_token, other.first_token)


def test_sealed_and_trusted_decide_alike(sandbox: Sandbox) -> None:
    """The same source gives the same outcome on both sides of the wall, bit by bit, and not that of FCFS."""
    namespace: dict[str, object] = {}
    exec(SHORTEST, namespace)
    trusted = Trusted({name: namespace[name] for name in ("rank_waiting", "token_budget")})  # type: ignore[misc]
    with SealedPolicy(sandbox, SHORTEST) as policy:
        assert policy.functions == {"rank_waiting", "token_budget"}
        sealed = serve(policy)
    assert equal(sealed, serve(trusted))
    assert not equal(sealed, serve(FCFS))
    assert sealed.asked_steps > 0


@pytest.mark.parametrize(("body", "verdict"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_policy_ends_a_search_with_its_verdict(sandbox: Sandbox, body: str, verdict: Verdict | None) -> None:
    """Hanging, sleeping, crashing, raising and breaking out are faults of the candidate, never of the simulator."""
    with SealedPolicy(sandbox, f"def rank_waiting(view):\n    {body}\n") as policy:
        with pytest.raises(CandidateFault) as caught:
            serve(policy)
        assert verdict is None or caught.value.verdict is verdict


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_ends_a_search(sandbox: Sandbox, body: str) -> None:
    """NaN, a wrong shape or no numbers at all: the first such answer is raised."""
    with SealedPolicy(sandbox, f"def rank_waiting(view):\n    {body}\n") as policy:
        with pytest.raises((InvalidAnswer, CandidateFault)) as caught:
            serve(policy)
        if isinstance(caught.value, CandidateFault):
            assert caught.value.verdict is Verdict.invalid_decision


@pytest.mark.parametrize("body", [WRONG["NaN"], WRONG["too short"], HOSTILE["crash"][0], HOSTILE["raise"][0]])
def test_in_service_the_engine_goes_on_without_the_answer(sandbox: Sandbox, body: str) -> None:
    """Every answer of a broken policy counts as none: requests are served as by FCFS, and the answers are counted."""
    with SealedPolicy(sandbox, f"def rank_waiting(view):\n    {body}\n", restarts=2) as policy:
        outcome = serve(policy, strict=False)
    assert equal(outcome, serve(FCFS))
    assert outcome.invalid == outcome.asked_steps > 0
    assert "rank_waiting" in outcome.first_invalid


def test_in_service_a_late_answer_is_done_without(sandbox: Sandbox) -> None:
    """A policy that hangs once loses that answer, is opened again, and answers from then on."""
    body = "    if view.waiting == 7:\n        import time; time.sleep(9)\n    return -view.arrival\n"
    limits = Limits(cpu_seconds=5, wall_seconds=20, answer_seconds=0.3)
    with SealedPolicy(sandbox, f"def rank_waiting(view):\n{body}", limits=limits, restarts=50) as policy:
        outcome = serve(policy, strict=False)
    assert 0 < outcome.invalid < outcome.asked_steps
    assert outcome.invalid == policy.faults
    assert np.isfinite(outcome.finish).all()


@pytest.mark.parametrize("source", ["x = 1", "def rank(view): return 0", "def rank_waiting(view:", "\0", "(" * 5000])
def test_a_source_without_a_policy_is_refused(sandbox: Sandbox, source: str) -> None:
    """No function of the protocol, or no Python: bad source."""
    with pytest.raises(CandidateFault) as caught:
        SealedPolicy(sandbox, source)
    assert caught.value.verdict is Verdict.bad_source


def test_functions_are_those_that_are_there_once_the_file_has_run(sandbox: Sandbox) -> None:
    """What is defined under a condition is a function if the condition holds, as in a search."""
    source = (
        "for name in ('hold', 'chunk'):\n    if name > 'd':\n        globals()[name] = len\nif 1 > 2:\n    swap = len\n"
    )
    with SealedPolicy(sandbox, source) as policy:
        assert policy.functions == {"hold"}
