from __future__ import annotations

from rich.console import Console

from discovery.leaderboard import Row
from discovery.scoring import score
from discovery.tables import WIDE, leaderboard_table
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
