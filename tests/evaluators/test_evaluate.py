from collections.abc import Iterator

import numpy as np
import pytest

from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import InfrastructureError, Verdict
from problems.registry import load_problem

DISPATCH = load_problem("smtt_dispatch")
SCHEDULE = load_problem("smtt")
TRAIN = DISPATCH.split("train")[:8]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all tests here: a fault in one must not spoil the next."""
    with Sandbox() as sandbox:
        yield sandbox


def test_costs_are_those_of_the_rule(sandbox: Sandbox) -> None:
    """MDD through the sealed dispatch loop costs what a plain loop written here costs."""
    result = evaluate(DISPATCH, find_heuristic(DISPATCH, "mdd").source, TRAIN, sandbox, Allowance())
    assert result.verdict is Verdict.ok
    for instance, cost in zip(TRAIN, result.costs, strict=True):
        jobs = sorted(zip(instance["d"].tolist(), instance["p"].tolist(), strict=True))
        t = total = 0
        while jobs:
            d, p = min(jobs, key=lambda job: max(t + job[1], job[0]))
            jobs.remove((d, p))
            t += p
            total += max(0, t - d)
        assert cost == total


def test_dispatch_and_schedule_forms_agree(sandbox: Sandbox) -> None:
    """The same rule gives the same costs in both problems."""
    for name in ("edd", "spt", "mdd", "mddc"):
        first = evaluate(DISPATCH, find_heuristic(DISPATCH, name).source, TRAIN, sandbox, Allowance())
        second = evaluate(SCHEDULE, find_heuristic(SCHEDULE, name).source, TRAIN, sandbox, Allowance())
        assert first.costs == second.costs


def test_signatures_tell_behaviours_apart_and_nothing_else(sandbox: Sandbox) -> None:
    """Other text, same decisions: same signature. Other decisions: another one."""
    same = ["def priority(p, d, t):\n    return d", "def priority(p, d, t):\n    # other text\n    return 2 * d + 1"]
    other = "def priority(p, d, t):\n    return p"
    signatures = [evaluate(DISPATCH, source, TRAIN, sandbox, Allowance()).signature for source in [*same, other]]
    assert signatures[0] == signatures[1] != signatures[2]


def test_a_heuristic_cannot_change_the_instance_it_is_scored_on(sandbox: Sandbox) -> None:
    """Writing zeros into its arguments changes neither its costs nor the instances."""
    honest = evaluate(
        SCHEDULE,
        "import numpy as np\ndef schedule(p, d):\n    return np.argsort(d, kind='stable')",
        TRAIN,
        sandbox,
        Allowance(),
    )
    before = [instance.digest for instance in TRAIN]
    cheat = (
        "import numpy as np\ndef schedule(p, d):\n    order = np.argsort(d, kind='stable')\n    p[:] = 0\n"
        "    d[:] = 1e9\n    return order"
    )
    assert evaluate(SCHEDULE, cheat, TRAIN, sandbox, Allowance()).costs == honest.costs
    assert [instance.digest for instance in TRAIN] == before


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def schedule(p, d):\n    return list(range(len(p) - 1))", Verdict.invalid_decision),
        ("def schedule(p, d):\n    return [0] * len(p)", Verdict.invalid_decision),
        ("def schedule(p, d):\n    return [x + .5 for x in range(len(p))]", Verdict.invalid_decision),
        ("def schedule(p, d):\n    return None", Verdict.invalid_decision),
        ("def schedule(p, d):\n    raise ValueError('mine')", Verdict.exception),
        ("def schedule(p, d):\n    while True: pass", Verdict.cpu_limit),
        ("def schedule(p, d):\n    import os\n    os._exit(0)", Verdict.protocol_error),
        ("def schedule(p, d):\n    return [0] * (1 << 40)", Verdict.memory),
        ("schedule = 3", Verdict.bad_source),
    ],
)
def test_each_failure_has_its_verdict_and_no_costs(sandbox: Sandbox, source: str, verdict: Verdict) -> None:
    """Verdicts are kept apart; a failure has no costs; the next honest heuristic is scored as ever."""
    result = evaluate(SCHEDULE, source, TRAIN, sandbox, Allowance())
    assert (result.verdict, result.costs) == (verdict, ()), result.detail
    honest = evaluate(SCHEDULE, "def schedule(p, d):\n    return list(range(len(p)))", TRAIN, sandbox, Allowance())
    expected = [SCHEDULE.cost(instance, np.arange(len(instance["p"]))) for instance in TRAIN]
    assert list(honest.costs) == expected


class Failing:
    """A sandbox that breaks the first `times` times it is used."""

    def __init__(self, sandbox: Sandbox, times: int) -> None:
        self.sandbox, self.left = sandbox, times

    def open(self, source: str, limits: object) -> object:
        """Break, or open."""
        if self.left:
            self.left -= 1
            raise InfrastructureError("the machine hiccuped")
        return self.sandbox.open(source, limits)  # type: ignore[arg-type]


def test_infrastructure_faults_are_retried_and_never_become_a_score(sandbox: Sandbox) -> None:
    """Two faults in a row leave no trace; a third one is raised, not recorded as a verdict."""
    source = find_heuristic(DISPATCH, "mdd").source
    fair = evaluate(DISPATCH, source, TRAIN, sandbox, Allowance())
    assert evaluate(DISPATCH, source, TRAIN, Failing(sandbox, 2), Allowance()).costs == fair.costs  # type: ignore[arg-type]
    with pytest.raises(InfrastructureError):
        evaluate(DISPATCH, source, TRAIN, Failing(sandbox, 3), Allowance())  # type: ignore[arg-type]
