from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.budget import Budget, Spending
from discovery.proposers.base import NOTHING, Charge


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@given(st.integers(1, 20), st.integers(0, 30))
def test_candidates_are_counted_exactly(candidates: int, number: int) -> None:
    """Candidate `number`, counted from 0, is permitted if it is one of so many; else the reason is said."""
    budget = Budget(candidates=candidates)
    assert budget.permits(number) == (number < candidates)
    assert budget.reason == ("" if number < candidates else f"all {candidates} candidates of the budget were tried")


def test_minutes_count_over_sessions_and_what_is_recorded_is_free() -> None:
    """30 s were used before: another 30 s may pass, and recorded candidates are permitted even after that."""
    clock = Clock()
    budget = Budget(candidates=9, minutes=1, spent_seconds=30, recorded=2, clock=clock)
    clock.now += 29.9
    assert budget.permits(5)
    assert budget.refuses(Spending(), NOTHING) == ""
    clock.now += 0.2
    assert budget.permits(1)
    assert not budget.permits(2)
    assert budget.reason == budget.refuses(Spending(), NOTHING) == "the time budget of 1 min is used up"
    assert budget.elapsed == pytest.approx(60.1)


@pytest.mark.parametrize(
    ("limits", "spending", "most", "room"),
    [
        ({}, Spending(10**9, Charge(10**12, 1e9)), Charge(10**9, 1e9), True),
        ({"calls": 3}, Spending(2), NOTHING, True),
        ({"calls": 3}, Spending(3), NOTHING, False),
        ({"tokens": 100}, Spending(1, Charge(40)), Charge(60), True),
        ({"tokens": 100}, Spending(1, Charge(40)), Charge(61), False),
        ({"money": 0.5}, Spending(1, Charge(0, 0.25)), Charge(0, 0.25), True),
        ({"money": 0.5}, Spending(1, Charge(0, 0.25)), Charge(0, 0.2501), False),
        ({"money": 0.5, "tokens": 100}, Spending(1, Charge(99, 0)), Charge(2, 0), False),
    ],
)
def test_a_budget_may_be_used_up_to_its_last_token(
    limits: dict[str, Any], spending: Spending, most: Charge, room: bool
) -> None:
    """A call that fits exactly has room; one token, cent or call more has not, and the refusal is a sentence."""
    said = Budget(candidates=1, **limits).refuses(spending, most)
    assert (said == "") == room
    assert room or said.startswith("the budget of ")


def test_what_is_only_perhaps_spent_is_told_apart() -> None:
    """The user learns how much of what is used up may come back, or was never billed."""
    spending = Spending(3, Charge(90, 0), Charge(40, 0))
    assert Budget(candidates=1, tokens=100).refuses(spending, Charge(20)) == (
        "the budget of 100 tokens has no room for another call:"
        " 90 used, 40 of them perhaps (calls of unknown outcome), 10 left"
    )
