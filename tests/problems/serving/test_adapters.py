"""Winners of the other problems serve requests: as policy files, sealed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine_bridge.policy import ENGINES, Policy, load_policy
from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import baselines, find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.registry import BUILT_IN, load_problem
from problems.serving.adapters import ENTRIES, NotAdaptable, adapt
from problems.serving.instances import generate
from problems.serving.problem import Serving
from tests.problems.serving.lab import policy, serve, view_of


def adapted(folder: Path, problem: str, name: str) -> Policy:
    """A baseline of another problem as a policy."""
    path = folder / f"{problem}_{name}.py"
    path.write_text(adapt(problem, find_heuristic(load_problem(problem), name).source), encoding="utf-8")
    return load_policy(path)


def order(by: Policy, view: object) -> list[int]:
    """The order in which a policy puts what waits."""
    return np.argsort(by.ask("rank_waiting", view), kind="stable").tolist()  # type: ignore[arg-type,no-any-return]


CROWD = [
    {"prompt": 500, "predicted": 90, "ttft_due": 11.0, "arrival": 9.0},
    {"prompt": 900, "predicted": 10, "ttft_due": 10.5, "arrival": 9.1},
    {"prompt": 100, "predicted": 400, "ttft_due": 30.0, "arrival": 9.2},
    {"prompt": 100, "predicted": 20, "ttft_due": 13.0, "arrival": 9.3},
]


@pytest.mark.parametrize(
    ("problem", "name", "expected"),
    [
        ("smtt_dispatch", "edd", [1, 3, 0, 2]),  # last tokens due at 20.0, 11.5, 70.0, 15.0
        ("smtt_dispatch", "spt", [1, 3, 0, 2]),  # 91, 11, 401, 21 steps
        ("batch_order", "fcfs", [0, 1, 2, 3]),
        ("batch_order", "shortest_prefill", [2, 3, 0, 1]),
        ("batch_order_late", "edf", [1, 3, 0, 2]),
        ("kv_admission", "mc_sf", [1, 3, 0, 2]),
        ("kv_admission", "shortest_prompt", [2, 3, 0, 1]),
        ("kv_admission", "smallest_peak", [3, 2, 0, 1]),
        ("prefix_group", "arrival", [0, 1, 2, 3]),
    ],
)
def test_known_rules_keep_their_meaning(tmp_path: Path, problem: str, name: str, expected: list[int]) -> None:
    """An adapted EDD goes by deadline, SPT by predicted service, MC-SF by predicted output, and so on."""
    assert order(adapted(tmp_path, problem, name), view_of(waiting=CROWD)) == expected


def test_ties_of_an_adapted_dispatch_rule_break_as_in_its_problem(tmp_path: Path) -> None:
    """EDD: the shorter of two with the same deadline."""
    waiting = [{"predicted": 50, "tpot": 0.1, "ttft_due": 11.0}, {"predicted": 25, "tpot": 0.2, "ttft_due": 11.0}]
    assert order(adapted(tmp_path, "smtt_dispatch", "edd"), view_of(waiting=waiting)) == [1, 0]


def test_groups_stay_together_under_an_adapted_prefix_rule(tmp_path: Path) -> None:
    """Depth first: requests of one group one after the other; who finds its prefix cached goes first."""
    groups = [{"group": each % 2, "prompt": 600} for each in range(6)]
    found = order(adapted(tmp_path, "prefix_group", "depth_first"), view_of(waiting=groups))
    assert [each % 2 for each in found] in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])
    groups[3]["cached"] = 512
    assert order(adapted(tmp_path, "prefix_group", "least_new"), view_of(waiting=groups))[0] == 3


@pytest.mark.parametrize("problem", sorted(ENTRIES))
def test_every_baseline_can_be_adapted(tmp_path: Path, problem: str) -> None:
    """Each becomes a file with one function of the core, and gives a score to everything that waits."""
    instance = generate("agents", 1)
    for heuristic in baselines(load_problem(problem)):
        by = adapted(tmp_path, problem, heuristic.name)
        assert by.functions == {"rank_waiting"} <= ENGINES["sglang"]
        outcome = serve(instance, by)
        assert np.isfinite(outcome.finish).all()


@pytest.mark.parametrize(
    ("problem", "name"),
    [("smtt_dispatch", "mdd"), ("batch_order", "two_areas"), ("kv_admission", "kv_area"), ("prefix_group", "batchllm")],
)
def test_adapted_files_run_sealed(tmp_path: Path, sandbox: Sandbox, problem: str, name: str) -> None:
    """The sealed file leads to the same cost as the trusted one, to the bit."""
    serving, instance = Serving(), generate("agents", 1)
    source = adapt(problem, find_heuristic(load_problem(problem), name).source)
    evaluation = evaluate(serving, source, [instance], sandbox, Allowance())
    assert evaluation.verdict is Verdict.ok, evaluation.detail
    outcome = serve(instance, adapted(tmp_path, problem, name))
    decision = np.stack((outcome.first_token, outcome.finish), axis=1)
    assert evaluation.costs[0] == serving.cost(instance, decision)


def test_an_adapted_mc_sf_is_sjf(tmp_path: Path) -> None:
    """Both go by the predicted output that is left: the same decisions in the simulator."""
    instance = generate("conversation", 1)
    ours, theirs = serve(instance, adapted(tmp_path, "kv_admission", "mc_sf")), serve(instance, policy("sjf"))
    np.testing.assert_array_equal(ours.finish, theirs.finish)


def test_what_serves_already_stays_as_it_is() -> None:
    """A policy of the serving problems needs no adapter."""
    assert adapt("serving", "SOURCE") == "SOURCE"


@pytest.mark.parametrize(
    ("problem", "source", "said"),
    [
        ("smtt", "def schedule(p, d): ...", "there is no adapter for 'smtt'; there are some for smtt_dispatch"),
        ("smtt_dispatch", "def prio(p, d, t): ...", "does not define 'priority'"),
        ("smtt_dispatch", "def priority(p, d, t): ...\nhold = 3", "defines 'hold'"),
        ("smtt_dispatch", "def priority(p, d, t:", "no Python"),
    ],
)
def test_what_cannot_be_adapted_is_refused(problem: str, source: str, said: str) -> None:
    """The message says why, and what can."""
    with pytest.raises(NotAdaptable, match=said):
        adapt(problem, source)


def test_every_problem_with_scores_has_an_adapter() -> None:
    """All registered problems but `smtt`, whose answer is a permutation, and those that serve."""
    assert set(BUILT_IN) - set(ENTRIES) == {"smtt", "serving", "serving_slo"}
