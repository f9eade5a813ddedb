import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems.base import (
    Instance,
    InstanceError,
    InvalidDecision,
    as_scalar,
    as_vector,
    check_permutation,
    check_scores,
)
from problems.registry import load_problem
from tests.problems.counter import Counter


@given(st.permutations(list(range(12))))
def test_every_permutation_is_accepted(order: list[int]) -> None:
    """No valid permutation is refused."""
    check_permutation(np.array(order, dtype=np.int64), 12)


@given(st.lists(st.integers(-3, 8), min_size=5, max_size=5))
def test_exactly_the_permutations_are_accepted(numbers: list[int]) -> None:
    """A list of five whole numbers passes if and only if it holds each of 0 … 4 once."""
    valid = sorted(numbers) == [0, 1, 2, 3, 4]
    try:
        check_permutation(np.array(numbers, dtype=np.int64), 5)
    except InvalidDecision:
        assert not valid
    else:
        assert valid


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (np.array([0.0, 1.0, 2.0]), "whole numbers"),
        (np.array([[0, 1, 2]]), "shape"),
        (np.array([0, 1]), "permutation of 3 jobs"),
        (np.array([0, 1, 1]), "job 1 is scheduled 2 times"),
        (np.array([0, 1, -1]), "must lie in 0 … 2"),
        (np.array([0, 1, 2**62]), "must lie in 0 … 2"),
    ],
)
def test_what_is_wrong_with_a_decision_is_said(decision: np.ndarray, said: str) -> None:
    """The message tells the author of a heuristic what to mend; huge job numbers cost no memory."""
    with pytest.raises(InvalidDecision, match=said):
        check_permutation(decision, 3)


def test_no_jobs_is_a_permutation_too() -> None:
    """An empty instance has an empty decision."""
    check_permutation(np.array([], dtype=np.int64), 0)


def test_digests_depend_on_content_alone() -> None:
    """Equal arrays give equal digests whatever the name; any changed number, dtype or array name another."""
    p = np.array([1, 2, 3])
    first = Instance("a", {"p": p, "d": p + 1}).digest
    assert first == Instance("b", {"d": p + 1, "p": p.copy()}, ("class",)).digest
    others = [{"p": p, "d": p + 2}, {"p": p.astype(float), "d": p + 1}, {"p": p, "q": p + 1}]
    assert len({first, *(Instance("a", arrays).digest for arrays in others)}) == 4


def test_instances_cannot_be_changed() -> None:
    """The arrays of an instance are read-only."""
    instance = Instance("a", {"p": np.array([1, 2])})
    with pytest.raises(ValueError, match="read-only"):
        instance["p"][0] = 5


@pytest.mark.parametrize("values", ["12", [[1]], [1, "2"], [True], None, [1, float("nan")], [2**70], {"a": 1}])
def test_what_is_no_list_of_finite_numbers_is_refused(values: object) -> None:
    """Strings, nesting, booleans, NaN and numbers beyond 64 bits do not become arrays."""
    with pytest.raises(InstanceError, match="x"):
        as_vector(values, "x")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"p": [1, 2], "d": [3]}, "lists of different lengths"),
        ({"p": [1, -2], "d": [3, 4]}, "'p' of job 1 is -2; times must be 0 or more"),
        ({"p": [1, 2], "d": [3, -4]}, "'d' of job 1 is -4"),
        ({"p": [1, 2]}, "key 'd' is missing"),
        ({"p": [1], "d": [3], "w": [1]}, "unknown key 'w'"),
        ({"p": [1.5], "d": [3]}, "whole numbers"),
        ({"p": 3, "d": [3]}, "flat list of numbers"),
    ],
)
def test_bad_instances_are_refused_at_the_door(record: dict[str, object], said: str) -> None:
    """The message names the instance, the rule and the value."""
    with pytest.raises(InstanceError, match=said) as caught:
        load_problem("smtt_dispatch").parse(record, "file, line 3")
    assert str(caught.value).startswith("file, line 3: ")


def test_own_instances_with_scalars() -> None:
    """`instance_fields` are read as vectors, `instance_scalars` as arrays without dimensions; int64 if whole."""
    instance = Counter().parse({"service": [2, 3], "arrived": [0.5, 1], "opens": 4}, "line 1")
    assert instance["service"].dtype == np.int64
    assert instance["arrived"].tolist() == [0.5, 1.0]
    assert (instance["opens"].shape, instance["opens"].dtype, int(instance["opens"])) == ((), np.int64, 4)
    assert instance.digest != Counter().parse({"service": [2, 3], "arrived": [0.5, 1], "opens": 5}, "line 1").digest


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"service": [2], "arrived": [0]}, "key 'opens' is missing; expected service, arrived, opens"),
        ({"service": [2], "arrived": [0], "opens": 0, "now": 1}, "unknown key 'now'"),
        ({"service": [2], "arrived": [0, 1], "opens": 0}, "lists of different lengths"),
        ({"service": [2], "arrived": [0], "opens": [0]}, "'opens' must be a number"),
    ],
)
def test_bad_instances_with_scalars_are_refused(record: dict[str, object], said: str) -> None:
    """The message names the line, the key and the rule."""
    with pytest.raises(InstanceError, match=f"line 3: {said}" if "key" in said else said) as caught:
        Counter().parse(record, "line 3")
    assert str(caught.value).startswith("line 3: ")


def test_a_problem_without_plain_vectors_must_say_what_an_instance_is() -> None:
    """Where the entry has records only and no fields are named, own instances are refused, not misread."""

    class Silent(Counter):
        instance_fields = ()
        instance_scalars = ()

    with pytest.raises(InstanceError, match="counter reads no instances"):
        Silent().parse({}, "line 1")


@pytest.mark.parametrize("value", ["1", [1], True, None, float("inf"), 2**64])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    """Only JSON numbers that fit become arrays without dimensions."""
    with pytest.raises(InstanceError, match="x"):
        as_scalar(value, "x")


@given(st.lists(st.floats(allow_nan=False), max_size=6))
def test_any_numbers_are_scores(scores: list[float]) -> None:
    """Infinite and equal scores are fine, as long as there is one for each."""
    check_scores(np.array(scores), len(scores))
    check_scores(np.arange(len(scores)), len(scores))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.array([1.0, np.nan, 2.0]), "score 1 of 3 is NaN"),
        (np.array([1.0, 2.0]), r"expected scores of shape \(3,\), got \(2,\)"),
        (np.array(1.0), r"got \(\)"),
        (np.ones((3, 1)), r"got \(3, 1\)"),
    ],
)
def test_what_is_wrong_with_scores_is_said(answer: np.ndarray, said: str) -> None:
    """Wrong shapes and NaN are invalid decisions that tell the author what to mend."""
    with pytest.raises(InvalidDecision, match=said):
        check_scores(answer, 3)
