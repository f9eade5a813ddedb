from pathlib import Path

import numpy as np
import pytest

from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import baselines
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.base import Array, InstanceError, InvalidDecision
from problems.batch_order.instances import FAMILIES, SPLITS, generate
from problems.batch_order.problem import HERE, BatchOrdering
from problems.batch_order.trusted import trusted_asks
from tests.problems.batch_order.lab import PROBLEMS, instance

by_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
SOUND = {"prompt": [4, 2], "output": [3, 1], "arrival": [0, 1], "budget": 4, "capacity": 8}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": [4, 0]}, "'prompt' of request 1 is 0; it must be 1 or more"),
        ({"output": [0, 1]}, "'output' of request 0 is 0"),
        ({"arrival": [0, -1]}, "'arrival' of request 1 is -1; it must be 0 or more"),
        ({"prompt": [4, 9]}, "request 1 needs 9 tokens of KV .* more than the capacity of 8"),
        ({"output": [6, 1]}, "request 0 needs 9 tokens of KV"),
        ({"prompt": [4, 1.5]}, "'prompt' holds fractions"),
        ({"prompt": [4]}, "lists of different lengths"),
        ({"prompt": [], "output": [], "arrival": []}, "there are no requests"),
        ({"budget": 0}, "'budget' is 0"),
        ({"capacity": 8.5}, "'capacity' is 8.5"),
        ({"budget": [4]}, "'budget' must be a number"),
        ({"prompt": [2**40, 1]}, "'prompt' of request 0 is 1099511627776"),
        ({"id": ["a", "a"]}, "requests 0 and 1 have the same id 'a'"),
        ({"id": ["a"]}, "1 ids for 2 requests"),
        ({"id": "ab"}, "'id' must be a flat list"),
        ({"deadline": [9, 9]}, "unknown key 'deadline'"),
    ],
)
def test_bad_instances_are_refused_at_the_door(change: dict[str, object], said: str) -> None:
    """The message names the instance, the request and the rule."""
    with pytest.raises(InstanceError, match=said) as caught:
        PROBLEMS[0].parse(SOUND | change, "file, line 3")
    assert str(caught.value).startswith("file, line 3: ")


def test_sound_instances_are_taken_with_ids_or_without() -> None:
    """Ids name requests and are not part of the instance; late requests need deadlines."""
    case = PROBLEMS[0].parse(SOUND | {"id": ["a", 7]}, "mine")
    assert case.digest == PROBLEMS[0].parse(SOUND, "other").digest
    with pytest.raises(InstanceError, match="key 'deadline' is missing"):
        PROBLEMS[2].parse(SOUND, "mine")
    assert PROBLEMS[2].parse(SOUND | {"deadline": [9, 9]}, "mine")["deadline"].tolist() == [9, 9]


def test_one_request_needs_no_question() -> None:
    """Where there is no choice, nobody is asked."""

    def ask(*_: object, **__: object) -> Array:
        raise AssertionError("asked")

    case = instance([9], [3], [2], 4, 20, [9])
    assert PROBLEMS[0].decide(case, ask).tolist() == [[0, 2, 4], [0, 3, 4], [0, 4, 1]]


@pytest.mark.parametrize(
    ("answer", "said"), [([1.0], "shape"), ([1.0, float("nan")], "NaN"), ([[1.0, 2.0]], "shape"), (3.0, "shape")]
)
def test_bad_scores_are_no_decision(answer: object, said: str) -> None:
    """Wrong length and NaN end the evaluation; nothing is cut or filled up."""
    case = instance([4, 2], [3, 1], [0, 0], 4, 8, None)
    with pytest.raises(InvalidDecision, match=said):
        PROBLEMS[0].decide(case, lambda *_, **__: np.array(answer))


@by_problem
def test_sealed_baselines_decide_as_in_this_process(problem: BatchOrdering) -> None:
    """The costs that an evaluation reports are those of the schedules made here; NaN is the candidate's fault."""
    probe = problem.split("probe")
    with Sandbox() as sandbox:
        for heuristic, ask in zip(baselines(problem), trusted_asks(problem.baselines), strict=True):
            outcome = evaluate(problem, heuristic.source, probe, sandbox, Allowance())
            assert outcome.verdict is Verdict.ok, outcome.detail
            assert outcome.costs == tuple(problem.cost(case, problem.decide(case, ask)) for case in probe)
        source = "def priority(requests, state):\n    return requests.prompt * float('nan')\n"
        assert evaluate(problem, source, probe, sandbox, Allowance()).verdict is Verdict.invalid_decision


@by_problem
def test_splits_are_fixed_and_share_no_instance(problem: BatchOrdering) -> None:
    """The same digests every time, all valid, all different across all splits."""
    digests = []
    for split in problem.splits:
        cases = problem.split(split)
        for case in cases:
            problem.validate(case)
        assert [case.digest for case in cases] == [case.digest for case in problem.split(split)]
        digests += [case.digest for case in cases]
    digests += [case.digest for case in problem.fresh(7)]
    assert len(set(digests)) == len(digests)


def test_all_objectives_have_the_same_splits() -> None:
    """What differs is what they hold."""
    assert len({tuple(splits) for splits in SPLITS.values()}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_families_have_the_capacity_they_are_named_for(family: str) -> None:
    """M is `peaks` mean peaks, or the largest peak; deadlines leave at least the time a request needs alone."""
    case = generate("check", family, 40, 0, deadlines=True)
    peak = case["prompt"] + case["output"] - 1
    assert case["capacity"] == max(int(FAMILIES[family].peaks * peak.mean()), peak.max())
    alone = case["arrival"] + -(-case["prompt"] // case["budget"]) - 1 + case["output"]
    assert (case["deadline"] >= alone).all()
    without = generate("check", family, 40, 0, deadlines=False)
    assert all(np.array_equal(without[name], case[name]) for name in without.arrays)


def test_baselines_of_both_folders_are_the_same_rules() -> None:
    """A file that stands in both folders must not drift; every file names its source and its tag."""
    order, late = (
        {path.name: path.read_text() for path in (HERE / "baselines" / folder).glob("*.py")}
        for folder in ("order", "late")
    )
    shared = set(order) & set(late)
    assert len(shared) >= 8
    assert all(order[name] == late[name] for name in shared)
    for text in [*order.values(), *late.values()]:
        assert "\nSource: " in text and ("\nTag: faithful" in text or "\nTag: inspired by" in text)


def test_the_folders_exist() -> None:
    """Baselines and bounds are package data."""
    for problem in PROBLEMS:
        assert isinstance(problem.baselines, Path) and problem.baselines.is_dir()
        assert isinstance(problem.bounds, Path) and problem.bounds.is_dir()
