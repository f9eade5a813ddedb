"""Tables for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from discovery.leaderboard import Row
from discovery.scoring import Score
from evaluators.gaps import Gaps

OFTEN = 0.25
"""Seconds between two words on what runs."""
WIDE = 160
"""Characters a table needs to show everything but the figures that some problems report beside the gap."""
REPORTS = 2
"""How many of those a leaderboard shows: the first."""


def console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut in a file or pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, WIDE + 12 * REPORTS))


@contextmanager
def telling() -> Iterator[Callable[[str], object]]:
    """Something to tell what is going on, which a terminal shows in one line of standard error."""
    if not Console(stderr=True).is_terminal:
        yield lambda _: None
        return
    # The line has its own way to the terminal: an engine in this process takes standard error while it starts.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as own, Console(file=own).status("starting") as status:
        last = 0.0

        def tell(text: str) -> None:
            nonlocal last
            if time.monotonic() - last > OFTEN:  # a fast engine is not to wait for a terminal
                status.update(text)
                last = time.monotonic()

        yield tell


def leaderboard_table(rows: Sequence[Row], width: int = WIDE) -> Table:
    """Gaps are ratios of sums, in percent over the bound; the kind of bound is in the title.

    Below some `WIDE` characters the train gaps, classes and p-values are left out.
    """
    kinds = sorted({kind for row in rows for each in row.scores.values() for kind in each.bound_kinds})
    several = len({row.run for row in rows}) > 1
    reports = _reports(rows)
    wide = width >= WIDE + 12 * len(reports)
    classes = _classes(rows) if wide else []
    splits = ("train", "validation", "test") if wide else ("validation", "test")
    rivals = sorted({row.comparison["rival"] for row in rows if row.comparison})
    problem = ", ".join(sorted({row.problem for row in rows}))
    caption = "gap: Σcost/Σbound − 1 · validation chooses, test only reports"
    if classes:
        caption += f" · {', '.join(classes)}: classes of test"
    if reports:
        caption += f" · {', '.join(reports)}: means over the instances of test"
    caption += f" · ms: CPU per instance · isolation: {', '.join(sorted({row.isolation for row in rows}))}"
    if rivals:
        caption += f" · w/t/l: instances won, tied, lost on test against {' or '.join(rivals)}"
        caption += " · p: Wilcoxon, of candidates corrected for all tested (Holm)" if wide else ""
    table = Table(title=f"{problem}: gap in % to {' or '.join(kinds) or 'no'} bounds", caption=caption, box=SIMPLE_HEAD)
    for heading in (["run"] if several else []) + ["heuristic", "origin"]:
        table.add_column(heading, no_wrap=True)
    p_value = ["p"] if wide else []
    for heading in (*splits, *classes, *reports, "w/t/l", *p_value, "ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [row.run] if several else []
        cells += [row.heuristic, row.origin, *(_gap(row, split) for split in splits)]
        test = row.scores.get("test")
        cells += [_percent(test.classes.get(name) if test else None) for name in classes]
        cells += [_optional(test.reports.get(name)) if test else "" for name in reports]
        cells += [_wins(row), *([_p(row)] if wide else []), _cpu(row)]
        table.add_row(*cells, style=None if row.origin == "baseline" else "bold")
    return table


def score_table(heuristic: str, problem: str, split: str, result: Score) -> Table:
    """One heuristic on one split: overall, then each class apart."""
    kinds = " or ".join(result.bound_kinds)
    table = Table(title=f"{heuristic} on {problem} ({split}): gap in % to {kinds} bounds", box=SIMPLE_HEAD)
    table.add_column("class")
    for heading in ("instances", "ratio of sums", "mean", "median", "zero bounds missed"):
        table.add_column(heading, justify="right")
    if result.gaps:
        for name, gaps in {"all": result.gaps, **result.classes}.items():
            figures = (gaps.ratio_gap_pct, gaps.mean_gap_pct, gaps.median_gap_pct)
            table.add_row(name, str(gaps.instances), *map(_optional, figures), str(gaps.zero_bound_missed))
        reports = (f"{name} {value:.3g}" for name, value in result.reports.items())
        table.caption = " · ".join([f"{result.cpu_ms_per_instance:.3g} ms CPU per instance", *reports])
    else:
        table.caption = escape(f"no result: {result.verdict}: {result.detail}")
    return table


def _classes(rows: Sequence[Row]) -> list[str]:
    """The classes shown apart: those of the test split, except when there is only one."""
    names: dict[str, None] = {}
    for row in rows:
        if "test" in row.scores:
            names.update(dict.fromkeys(row.scores["test"].classes))
    return list(names) if len(names) > 1 else []


def _reports(rows: Sequence[Row]) -> list[str]:
    """The first figures that the problem reports beside the gap on the test split."""
    names = (row.scores["test"].reports for row in rows if "test" in row.scores)
    return list(next((each for each in names if each), {}))[:REPORTS]


def _wins(row: Row) -> str:
    result = row.comparison
    return f"{result['wins']}/{result['ties']}/{result['losses']}" if result else ""


def _p(row: Row) -> str:
    p = row.comparison.get("corrected_p", row.comparison["wilcoxon_p"]) if row.comparison else None
    return "" if p is None else f"{p:.0e}"


def _cpu(row: Row) -> str:
    for split in ("test", "validation", "train"):
        if split in row.scores and row.scores[split].cpu_ms_per_instance is not None:
            return f"{row.scores[split].cpu_ms_per_instance:.2f}"
    return ""


def _gap(row: Row, split: str) -> str:
    """The gap on a split, or why there is none; empty where it was not evaluated."""
    found = row.scores.get(split)
    if found is None:
        return ""
    return _percent(found.gaps) if found.gaps else str(found.verdict)


def _percent(gaps: Gaps | None) -> str:
    return _optional(gaps.ratio_gap_pct) if gaps else ""


def _optional(value: float | None) -> str:
    return "–" if value is None else _figure(value)


def _figure(value: float) -> str:
    """Three decimals, fewer for large values."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"
