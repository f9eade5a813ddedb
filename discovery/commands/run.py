"""The commands run, resume and replay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from discovery.archive import AMENDED, Archive, shown
from discovery.commands.leaderboard import print_leaderboard
from discovery.commands.operators import print_report
from discovery.engine_table import engine_verdict
from discovery.folders import run_folder
from discovery.leaderboard import Row
from discovery.search_report import search_report
from discovery.tables import console

if TYPE_CHECKING:
    from discovery.config import Config

PAUSED = 3
"""Exit code of a run that waits for answers from outside."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


def start(config_name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Start a run from a config and see it through."""
    from discovery.config import load_config

    config, stem = load_config(config_name, settings)
    _start(config, stem, as_json=as_json)


def replay(name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Run a recorded run again, from its recorded answers and measurements."""
    from discovery.config import override

    folder = run_folder(name)
    with Archive(folder, "read") as archive:
        recorded = archive.config
    proposer = {"kind": "replay", "run": str(folder.resolve())}
    budget = {"candidates": recorded["budget"]["candidates"]}  # a replay spends nothing else
    recorded = {**recorded, "proposer": proposer, "budget": budget, "run": {**recorded["run"], "name": None}}
    _start(override(recorded, settings, f"the config of {name}"), f"{folder.name}-replay", as_json=as_json)


def resume(name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Go on with a run; what is committed is recalled, what was in flight is asked again."""
    from discovery.config import Config, amend
    from discovery.create import resolved
    from problems.registry import load_problem

    with Archive(run_folder(name), "append") as archive:
        config = Config.model_validate(archive.config)
        if settings:
            config = resolved(amend(config, settings), load_problem(config.run.problem), begun=True)
        _check_stages(config)
        if settings:
            archive.event(AMENDED, config.model_dump_json())
        _see_through(archive, config)
    _report(archive.folder.as_posix(), as_json=as_json)


def _start(config: Config, stem: str, *, as_json: bool) -> None:
    from discovery.create import create

    err = Console(stderr=True)
    _check_stages(config)
    with create(config, stem, lambda name: err.print(f"{name} …")) as archive:
        _see_through(archive, config)
    _report(archive.folder.as_posix(), as_json=as_json)


def _see_through(archive: Archive, config: Config) -> None:
    """Run to the end of the budget; whatever stops it earlier says how to go on."""
    from discovery.progress import Progress
    from discovery.proposers.base import AnswersWanted, ProposerError
    from discovery.session import Observers, run

    name = shown(archive.folder)
    try:
        with Progress(Console(stderr=True), config.budget, archive.committed()) as progress:
            reason = asyncio.run(run(archive, Observers(progress.phase, progress.candidate, progress.spending)))
            if config.evaluation.engine is not None:
                from discovery.engine_stage import run_engine_stage

                run_engine_stage(archive, config, progress.phase)
    except KeyboardInterrupt:
        archive.event("interrupted")
        typer.echo(
            f"interrupted after {archive.committed()} candidates; nothing committed is lost:"
            f" `discover resume {name}` goes on",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    except AnswersWanted as wanted:
        archive.event("paused", str(wanted))
        typer.echo(f"paused: {wanted}", err=True)
        raise typer.Exit(PAUSED) from None
    except ProposerError as error:
        archive.event("paused", str(error))
        raise ProposerError(
            f"{error}; {archive.committed()} candidates are kept, `discover resume {name}` goes on"
        ) from None
    typer.echo(f"run {name} ended: {reason}", err=True)


def _check_stages(config: Config) -> None:
    """Refuse a last stage that could not be done, before anything is spent."""
    if config.evaluation.engine is not None:
        from discovery.engine_stage import check_engine_stage

        check_engine_stage(config)


def _report(folder: str, *, as_json: bool) -> None:
    rows = print_leaderboard([folder], 10, as_json=as_json)
    if not as_json:
        with Archive(run_folder(folder), "read") as archive:
            print_report(search_report(archive), console())
            replay = archive.engine_replay()
        typer.echo(verdict_on(rows, shown(run_folder(folder))))
        if replay is not None:
            typer.echo(engine_verdict(replay))


def verdict_on(rows: Sequence[Row], run: str) -> str:
    """Plain sentences: did the run find anything, and does it beat the baseline to beat?"""
    found = [row for row in rows if row.origin != "baseline"]
    if not found:
        return "No valid heuristic was found."
    best = found[0]
    hints = (
        f"See it: discover show {run}/{best.heuristic} · use it: discover export {run}/{best.heuristic} DIR\n"
        f"Check it: discover verify {run}"
    )
    result = best.comparison
    if result is None or result["difference_pct"] is None:
        return f"Best discovered on validation: {run}/{best.heuristic}; {_not_compared(best, run)}.\n{hints}"
    rival = next(row for row in rows if row.heuristic == result["rival"])
    ours, theirs = best.gap("test"), rival.gap("test")
    clear = result["low"] > 0 or result["high"] < 0
    verdict = ("beats" if ours < theirs else "does NOT beat") + ("" if clear or ours >= theirs else ", not clearly,")
    lines = [
        f"The best discovered on validation, {run}/{best.heuristic}, {verdict} {result['rival']} on the held-out test"
        f" split: {ours:.3f} % against {theirs:.3f} % over the bounds, ratio of sums (difference"
        f" {result['difference_pct']:+.3f} points, 95 % interval {result['low']:+.3f} … {result['high']:+.3f}).",
        _instance_by_instance(result),
    ]
    return "\n".join([*lines, hints])


def _not_compared(best: Row, run: str) -> str:
    """Why the best on validation is not compared with a baseline on test, and what helps."""
    test = best.scores.get("test")
    if test is None:
        return f"it was not evaluated on the held-out test split: `discover resume {run}` goes on with that"
    if test.gaps is None:
        return (
            f"it has no result on the held-out test split ({test.verdict}: {test.detail}), so that it is compared with"
            f" nothing: `discover verify {run}` shows whether it has one now"
        )
    if best.comparison is not None:
        return f"no gap on the held-out test split to compare with {best.comparison['rival']}'s: every bound is zero"
    return "there is no baseline with a result on the held-out test split to compare it with"


def _instance_by_instance(result: dict[str, Any]) -> str:
    wins, losses, p = result["wins"], result["losses"], result["corrected_p"]
    side = "better" if wins > losses else "worse" if losses > wins else "neither better nor worse"
    test = "" if p is None else f" (two-sided Wilcoxon p = {p:.1e}, corrected for all candidates tested)"
    return (
        f"Instance by instance it is more often {side}: {wins} won, {result['ties']} tied, {losses} lost"
        f" against {result['rival']}{test}."
    ).replace("more often neither", "neither more often")
