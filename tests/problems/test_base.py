import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems.base import Instance, InstanceError, InvalidDecision, as_vector, check_permutation
from problems.registry import load_problem


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
