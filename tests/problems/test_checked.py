"""Faults of a problem's own simulation are the problem's; those of the heuristic it asks stay the heuristic's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from problems.base import Array, Ask, Instance, InvalidDecision, ProblemError, Unanswered
from problems.checked import Checked
from tests.problems.counter import Counter


def answer(value: object) -> Ask:
    """An `Ask` that raises or returns `value`, whatever it is asked."""

    def ask(function: str, arrays: Sequence[Array], *, dispatch: bool = False, records: str = "") -> Array:
        if isinstance(value, Exception):
            raise value
        return np.asarray(value)

    return ask


CROWD = Instance("crowd", {"service": np.array([3, 1]), "arrived": np.array([0, 0]), "opens": np.array(0)})


def test_a_decision_passes() -> None:
    """What `decide` returns is returned."""
    assert Checked(Counter()).decide(CROWD, answer([2.0, -np.inf])).tolist() == [1, 0]


@pytest.mark.parametrize("error", [Unanswered("no answer"), InvalidDecision("not so")])
def test_faults_of_the_heuristic_pass(error: Exception) -> None:
    """A question without an answer, or a bad one, is not blamed on the problem."""
    with pytest.raises(type(error), match=str(error)):
        Checked(Counter()).decide(CROWD, answer(error))


def test_faults_of_the_simulation_are_the_problems() -> None:
    """Anything else that `decide` raises, or returns in place of an array, names problem, instance and line."""
    with pytest.raises(ProblemError, match=r"'counter': decide\(\) of crowd failed: ValueError: oops \(test_checked"):
        Checked(Counter()).decide(CROWD, answer(ValueError("oops")))

    class Careless(Counter):
        def decide(self, instance: Instance, ask: Ask) -> Array:
            return [1, 0]  # type: ignore[return-value]

    with pytest.raises(ProblemError, match="expected an array, got list"):
        Checked(Careless()).decide(CROWD, answer(0))
    with pytest.raises(ProblemError, match=r"parse\(\) of line 1 failed: KeyError"):
        Checked(Broken()).parse({}, "line 1")


class Broken(Counter):
    """A problem whose own reader of instances fails."""

    def parse(self, record: object, name: str) -> Instance:
        """Look up what is not there."""
        raise KeyError("service")
