"""Tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table

from discovery.leaderboard import Row
from discovery.scoring import Score
from evaluators.gaps import Gaps


def leaderboard_table(rows: Sequence[Row]) -> Table:
    """Gaps are ratios of sums, in percent over the bound; the kind of bound is in the title."""
    kinds = sorted({kind for row in rows for each in row.scores.values() for kind in each.bound_kinds})
    several = len({row.run for row in rows}) > 1
    classes = _classes(rows)
    title = f"{', '.join(sorted({row.problem for row in rows}))}: gap in % to {' or '.join(kinds) or 'no'} bounds"
    table = Table(title=title, caption="Σcost/Σbound − 1; validation chooses, test only reports")
    for heading in (["run"] if several else []) + ["heuristic", "origin"]:
        table.add_column(heading, overflow="fold")
    for heading in ("train", "validation", "test", *(f"test {name}" for name in classes)):
        table.add_column(heading, justify="right")
    rivals = {row.comparison["rival"] for row in rows if row.comparison}
    table.add_column(f"w/t/l vs {'/'.join(rivals)}" if rivals else "w/t/l", justify="right")
    table.add_column("p", justify="right")
    table.add_column("CPU ms", justify="right")
    for row in rows:
        cells = [row.run] if several else []
        cells += [row.heuristic, row.origin]
        cells += [_gap(row.gap(split)) for split in ("train", "validation", "test")]
        test = row.scores.get("test")
        cells += [_percent(test.classes.get(name) if test else None) for name in classes]
        table.add_row(*cells, *_comparison(row), _cpu(row), style=None if row.origin == "baseline" else "bold")
    return table


def score_table(heuristic: str, problem: str, split: str, result: Score) -> Table:
    """One heuristic on one split: overall, then each class apart."""
    kinds = " or ".join(result.bound_kinds)
    table = Table(title=f"{heuristic} on {problem} ({split}): gap in % to {kinds} bounds")
    table.add_column("class")
    for heading in ("instances", "ratio of sums", "mean", "median", "zero bounds missed"):
        table.add_column(heading, justify="right")
    if result.gaps:
        for name, gaps in {"all": result.gaps, **result.classes}.items():
            figures = (gaps.ratio_gap_pct, gaps.mean_gap_pct, gaps.median_gap_pct)
            table.add_row(name, str(gaps.instances), *map(_optional, figures), str(gaps.zero_bound_missed))
        table.caption = f"{result.cpu_ms_per_instance:.3g} ms CPU per instance"
    return table


def _classes(rows: Sequence[Row]) -> list[str]:
    """The classes shown apart: those of the test split, except when there is only one."""
    names: dict[str, None] = {}
    for row in rows:
        if "test" in row.scores:
            names.update(dict.fromkeys(row.scores["test"].classes))
    return list(names) if len(names) > 1 else []


def _comparison(row: Row) -> tuple[str, str]:
    if row.comparison is None:
        return "", ""
    result, p = row.comparison, row.comparison["wilcoxon_p"]
    return f"{result['wins']}/{result['ties']}/{result['losses']}", "" if p is None else f"{p:.1e}"


def _cpu(row: Row) -> str:
    for split in ("test", "validation", "train"):
        if split in row.scores and row.scores[split].cpu_ms_per_instance is not None:
            return f"{row.scores[split].cpu_ms_per_instance:.2f}"
    return ""


def _gap(value: float) -> str:
    return "" if math.isinf(value) else f"{value:.3f}"


def _percent(gaps: Gaps | None) -> str:
    return _optional(gaps.ratio_gap_pct) if gaps else ""


def _optional(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
