"""The commands run, resume and leaderboard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from discovery.archive import Archive
from discovery.folders import latest_run, run_folder
from discovery.leaderboard import Row, leaderboard
from discovery.output import print_json
from discovery.tables import console, leaderboard_table

if TYPE_CHECKING:
    from discovery.session import Observers

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


def start(config_name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Start a run from a config and see it through."""
    from discovery.config import load_config
    from discovery.progress import Progress
    from discovery.session import Observers, create

    config, stem = load_config(config_name, settings)
    with Progress(Console(stderr=True), config.budget.candidates) as progress:
        observers = Observers(progress.phase, progress.candidate)
        archive = create(config, stem, observers)
        with archive:
            _see_through(archive, observers)
    _report(archive.folder.as_posix(), as_json=as_json)


def resume(name: str, *, as_json: bool) -> None:
    """Go on with a run; what is committed is recalled, what was in flight is asked again."""
    from discovery.config import Config
    from discovery.progress import Progress
    from discovery.session import Observers

    with Archive(run_folder(name), "append") as archive:
        config = Config.model_validate(archive.meta()["config"])
        with Progress(Console(stderr=True), config.budget.candidates) as progress:
            _see_through(archive, Observers(progress.phase, progress.candidate))
    _report(archive.folder.as_posix(), as_json=as_json)


def print_leaderboard(names: Sequence[str], limit: int, *, as_json: bool) -> None:
    """The leaderboards of some runs, one table per problem."""
    rows: list[Row] = []
    for folder in [run_folder(name) for name in names] or [latest_run()]:
        with Archive(folder, "read") as archive:
            rows += leaderboard(archive, limit)
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    out = console()
    for problem in dict.fromkeys(row.problem for row in rows):
        out.print(leaderboard_table([row for row in rows if row.problem == problem], out.width))


def _see_through(archive: Archive, observers: Observers) -> None:
    """Run to the end of the budget; whatever stops it earlier says how to go on."""
    from discovery.session import run

    name = archive.folder.name
    try:
        reason = asyncio.run(run(archive, observers))
    except KeyboardInterrupt:
        archive.event("interrupted")
        typer.echo(
            f"interrupted after {archive.committed()} candidates; nothing committed is lost:"
            f" `discover resume {name}` goes on",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"run {name} ended: {reason}", err=True)


def _report(folder: str, *, as_json: bool) -> None:
    print_leaderboard([folder], 10, as_json=as_json)
    if not as_json:
        with Archive(run_folder(folder), "read") as archive:
            typer.echo(verdict_on(leaderboard(archive), archive.folder.name))


def verdict_on(rows: Sequence[Row], run: str) -> str:
    """One plain sentence or two: did the run find anything, and does it beat the baseline to beat?"""
    found = [row for row in rows if row.origin != "baseline"]
    if not found:
        return "No valid heuristic was found."
    winner = found[0]
    if winner.comparison is None or winner.comparison["difference_pct"] is None:
        return f"Best on validation: {run}/{winner.heuristic}."
    result = winner.comparison
    rival = next(row for row in rows if row.heuristic == result["rival"])
    ours, theirs = winner.gap("test"), rival.gap("test")
    verdict = "beats" if ours < theirs else "does NOT beat"
    p = "" if result["wilcoxon_p"] is None else f", Wilcoxon p = {result['wilcoxon_p']:.1e}"
    return (
        f"The winner on validation, {run}/{winner.heuristic}, {verdict} {result['rival']} on the held-out test split:"
        f" {ours:.3f} % against {theirs:.3f} % over the bounds, ratio of sums (difference"
        f" {result['difference_pct']:+.3f} points, 95 % interval {result['low']:+.3f} … {result['high']:+.3f})."
        f" Instance by instance: {result['wins']} won, {result['ties']} tied, {result['losses']} lost{p}.\n"
        f"See it: discover show {run}/{winner.heuristic} · use it: discover export {run}/{winner.heuristic} DIR"
    )
