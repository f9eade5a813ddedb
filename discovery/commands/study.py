"""The command study: the same task with several settings and seeds, in one table and one plot."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from discovery.archive import Archive
from discovery.commands.run import INTERRUPTED, PAUSED
from discovery.config import Config
from discovery.errors import UsageError
from discovery.folders import RUNS
from discovery.output import print_json
from discovery.progress import Progress
from discovery.proposers.base import AnswersWanted, ProposerError
from discovery.session import Observers
from discovery.study.arms import arms_of
from discovery.study.curves import Axis, Course, Summary, axis_of, course_of, summarise
from discovery.study.running import Cell, cells_of, run_cell
from discovery.tables import console
from evaluators.statistics import Median

RESULTS = "results.json"
PLOT = "gap.png"


def study(
    configs: Sequence[str],
    settings: Sequence[str],
    own: Sequence[str],
    *,
    seeds: int,
    name: str | None,
    ablate: bool,
    shapes: bool,
    as_json: bool,
) -> None:
    """Make what runs are missing, one after another, then print the table and write results and plot."""
    arms = arms_of(configs, settings, own, ablate=ablate, shapes=shapes)
    folder = RUNS / "studies" / (name or Path(configs[0]).stem)
    cells = cells_of(arms, seeds, folder)
    tasks = {cell.config().run.problem for cell in cells}
    if len(tasks) > 1:
        raise UsageError(f"a study compares searches for one problem; these are for {', '.join(sorted(tasks))}")
    _run_all(cells)
    courses: dict[str, list[Course]] = {arm.name: [] for arm in arms}
    for cell in cells:
        with Archive(cell.folder, "read") as archive:
            courses[cell.arm.name].append(course_of(archive))
    axis = axis_of([course for found in courses.values() for course in found])
    summaries = summarise(courses, axis)
    problem = tasks.pop()
    runs = {arm: [asdict(course) for course in found] for arm, found in courses.items()}
    record = _finite({"problem": problem, "axis": axis, "arms": [each.as_json() for each in summaries], "runs": runs})
    (folder / RESULTS).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _plot(folder / PLOT, courses, axis, problem)
    if as_json:
        print_json(record)
        return
    console().print(study_table(summaries, axis, problem))
    typer.echo(f"wrote {folder / RESULTS} and {folder / PLOT}", err=True)


def study_table(summaries: Sequence[Summary], axis: Axis, problem: str) -> Table:
    """One row per arm: gaps after so many calls, the last with its interval, and the difference from the first arm."""
    first = summaries[0]
    places = list(first.after)
    seeds = len(first.seeds)
    table = Table(
        title=f"{problem}: best gap on train in % after so many {axis}, median over {seeds} seeds",
        caption=f"[…]: {100 * first.after[places[0]].level:g} % bootstrap interval of the median · difference:"
        f" from {first.arm} with the same seed, at the end · test: of each run's best on validation, baselines"
        " included · calls, tokens: means of a run · valid: with a score, or duplicates; new: with a score",
        box=SIMPLE_HEAD,
    )
    table.add_column("arm", no_wrap=True)
    headings = (*map(str, places), "[…]", "difference", "test", "calls", "tokens", "valid", "new")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for each in summaries:
        last = each.after[places[-1]]
        table.add_row(
            each.arm,
            *(f"{median.value:.3f}" for median in each.after.values()),
            _interval(last),
            "" if each.difference is None else f"{each.difference.value:+.3f} {_interval(each.difference)}",
            "–" if each.test_gap is None else f"{each.test_gap.value:.3f}",
            f"{each.calls:.0f}",
            f"{each.tokens:,.0f}",
            f"{100 * each.valid:.0f} %",
            f"{100 * each.new:.0f} %",
        )
    return table


def _run_all(cells: Sequence[Cell]) -> None:
    """Every run that is missing; whatever stops a run stops the study, and says how to go on."""
    again = "the same command goes on where this ended"
    for number, cell in enumerate(cells, 1):
        place = f"run {number} of {len(cells)}, {cell.arm.name}, seed {cell.seed}"
        typer.echo(f"{place} …", err=True)
        try:
            run_cell(cell, _observed)
        except KeyboardInterrupt:
            typer.echo(f"interrupted in {place}; {again}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except AnswersWanted as wanted:
            typer.echo(f"paused in {place}: {wanted}; {again}", err=True)
            raise typer.Exit(PAUSED) from None
        except ProposerError as error:
            raise ProposerError(f"{place}: {error}; {again}") from None


@contextmanager
def _observed(config: Config, archive: Archive) -> Iterator[Observers]:
    """Progress on standard error."""
    with Progress(Console(stderr=True), config.budget, archive.committed()) as progress:
        yield Observers(progress.phase, progress.candidate, progress.spending)


def _plot(path: Path, courses: dict[str, list[Course]], axis: Axis, problem: str) -> None:
    from discovery.study.plot import gap_plot  # matplotlib takes a second to import

    path.write_bytes(gap_plot(courses, axis, f"{problem}: median over seeds (their number in brackets)"))


def _finite(value: Any) -> Any:
    """A record for JSON, which has no word for the gap of a search that has found nothing yet: None."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _interval(median: Median) -> str:
    return f"{median.low:.3f} … {median.high:.3f}"
