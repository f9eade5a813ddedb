import io

import pytest
from rich.console import Console

from discovery import progress as module
from discovery.budget import Spending
from discovery.candidate import Candidate, Draft
from discovery.config import Budget
from discovery.progress import Progress
from discovery.proposers.base import Charge
from evaluators.verdict import Verdict


def candidate(number: int, verdict: Verdict = Verdict.ok, score: float | None = 1.5) -> Candidate:
    """A committed candidate."""
    return Candidate(Draft(number, 0, "create", ()), "x", verdict, "", score)


def console() -> tuple[Console, io.StringIO]:
    """A console that is no terminal, and what is written to it."""
    text = io.StringIO()
    return Console(file=text, width=300), text


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for every candidate."""
    monkeypatch.setattr(module, "EVERY_SECONDS", -1.0)


def test_spending_is_shown_with_its_limits_and_what_is_only_held() -> None:
    """Calls, tokens and money as they change, each with its limit; what calls in flight hold is told apart."""
    out, text = console()
    with Progress(out, Budget(candidates=4, calls=9, tokens=50_000, money=2.0)) as shown:
        shown.phase("search")
        shown.spending(Spending(3, Charge(12_345, 0.5), Charge(2_000, 0.1)))
        shown.candidate(candidate(0))
        shown.spending(Spending(3, Charge(10_345, 0.4)))
        shown.candidate(candidate(1, Verdict.exception, None))
    lines = text.getvalue().splitlines()
    assert "calls 3/9 · tokens 12,345/50,000 (up to 2,000 of them not yet known) · cost 0.5000/2.0" in lines[1]
    assert "calls 3/9 · tokens 10,345/50,000 · cost 0.4000/2.0" in lines[2]
    assert "candidates 2/4 · valid 50 % · new 50 % · best gap 1.500 % (#0)" in lines[2]


def test_a_run_without_calls_shows_no_spending() -> None:
    """The offline proposer's line has no zeros about money."""
    out, text = console()
    with Progress(out, Budget(candidates=4)) as shown:
        shown.phase("search")
        shown.spending(Spending())
        shown.candidate(candidate(0))
    assert "tokens" not in text.getvalue() and "cost" not in text.getvalue()


def test_money_is_shown_where_it_is_spent() -> None:
    """Prices without a budget show the cost; tokens without prices show none."""
    for charge, there in ((Charge(10, 0.25), True), (Charge(10, 0.0), False)):
        out, text = console()
        with Progress(out, Budget(candidates=4)) as shown:
            shown.phase("search")
            shown.spending(Spending(1, charge))
            shown.candidate(candidate(0))
        assert ("cost 0.2500" in text.getvalue()) == there
        assert "tokens 10 " in text.getvalue()


def test_a_search_taken_up_again_counts_every_candidate_once() -> None:
    """A batch run searches anew whenever answers have come: what it recalls is not counted twice."""
    out, text = console()
    with Progress(out, Budget(candidates=4)) as shown:
        for until in (2, 3):
            shown.phase("search")
            for number in range(until):
                shown.candidate(candidate(number))
            shown.phase("results.jsonl: answers taken: 1")
    assert "candidates 3/4" in text.getvalue().splitlines()[-1]
