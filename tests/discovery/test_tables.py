from __future__ import annotations

import pytest
from rich.console import Console

from discovery.commands.run import verdict_on
from discovery.leaderboard import Row
from discovery.scoring import Score, score
from discovery.tables import WIDE, leaderboard_table, score_table
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

REPORTS = {"attainment": 0.75, "goodput": 12.5, "ttft_p50": 0.123}


class Case:
    """A bounded instance."""

    classes = ("only",)
    bound = 10.0
    kind = "lower"


def shown(width: int, reports: dict[str, float]) -> str:
    """The leaderboard of one baseline as text."""
    found = score(Evaluation(Verdict.ok, "", (11.0,), 0.1, "sig", reports), [Case()])
    row = Row("r", "p", "h", "baseline", "full", {"test": found, "validation": found}, None)
    console = Console(width=width)
    with console.capture() as captured:
        console.print(leaderboard_table([row], width))
    return captured.get()


def test_what_a_problem_reports_stands_beside_the_gap() -> None:
    """The first two figures of test have columns of their own; a problem without any has none."""
    text = shown(WIDE + 24, REPORTS)
    assert "attainment" in text and "goodput" in text and "0.750" in text and "12.5" in text
    assert "ttft_p50" not in text
    assert "attainment" not in shown(WIDE + 24, {})


def test_reports_do_not_push_the_gap_off_a_narrow_terminal() -> None:
    """Where there is no room for all, classes and p-values go; gaps and reports stay whole."""
    text = shown(100, REPORTS)
    assert "attainment" in text and text.count("10.0") >= 2 and "train" not in text.split("gap:")[0]


LATE = score(Evaluation(Verdict.wall_timeout, "no answer within 9 s in all", (), 0.0, ""), [Case()])
FINE = score(Evaluation(Verdict.ok, "", (11.0,), 0.1, "sig"), [Case()])


def test_a_heuristic_that_failed_on_a_split_shows_its_verdict() -> None:
    """On the leaderboard in place of the gap, and below the table of its own."""
    row = Row("r", "p", "7", "chat: mutate", "full", {"validation": FINE, "test": LATE}, None)
    console = Console(width=WIDE)
    with console.capture() as captured:
        console.print(leaderboard_table([row], WIDE))
        console.print(score_table("7", "p", "test", LATE))
    text = captured.get()
    assert text.count("wall_timeout") == 2 and "no result: wall_timeout: no answer within 9 s in all" in text


@pytest.mark.parametrize(
    ("test", "comparison", "reason"),
    [
        ({}, None, "it was not evaluated on the held-out test split: `discover resume small` goes on with that."),
        ({"test": LATE}, None, "no result on the held-out test split (wall_timeout: no answer within 9 s in all), so"),
        ({"test": FINE}, None, "there is no baseline with a result on the held-out test split to compare it with."),
        ({"test": FINE}, {"rival": "edd", "difference_pct": None}, "to compare with edd's: every bound is zero."),
    ],
)
def test_a_winner_without_comparison_says_why(
    test: dict[str, Score], comparison: dict[str, str | None] | None, reason: str
) -> None:
    """Each reason is the true one."""
    row = Row("small", "p", "7", "chat: mutate", "full", {"validation": FINE, **test}, comparison)
    first = verdict_on([row], "small").splitlines()[0]
    assert first.startswith("Best discovered on validation: small/7; ") and reason in first
