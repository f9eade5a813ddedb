"""The command leaderboard: heuristics side by side, of some runs, or of all."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from discovery.archive import Archive
from discovery.engine_scores import EngineReplay
from discovery.engine_table import engine_table
from discovery.errors import UsageError
from discovery.folders import RUNS, latest_run, run_folder
from discovery.leaderboard import Row, leaderboard
from discovery.output import print_json
from discovery.standings import Standing, standings
from discovery.tables import console, leaderboard_table


def print_leaderboard(names: Sequence[str], limit: int, *, as_json: bool) -> list[Row]:
    """Print the leaderboards of some runs, one table per problem; returns their rows."""
    rows: list[Row] = []
    replays: list[tuple[str, EngineReplay]] = []
    for folder in dict.fromkeys(run_folder(name) for name in names) or [latest_run()]:
        with Archive(folder, "read") as archive:
            rows += leaderboard(archive, limit)
            if (replay := archive.engine_replay()) is not None:
                replays.append((folder.name, replay))
    rows.sort(key=lambda row: row.gap("validation"))
    if not rows:
        typer.echo("nothing was validated yet; `discover resume RUN` goes on", err=True)
    if as_json:
        print_json([row.as_json() for row in rows])
        return rows
    out = console()
    for problem in dict.fromkeys(row.problem for row in rows):
        out.print(leaderboard_table([row for row in rows if row.problem == problem], out.width))
    for name, replay in replays:
        out.print(engine_table(name, replay))
    return rows


def print_standings(names: Sequence[str], limit: int, *, as_json: bool) -> None:
    """Print the ranks across all runs, one table per problem.

    Raises:
        UsageError: runs were named, or there are none.
    """
    if names:
        raise UsageError(f"--all ranks every run in {RUNS}/; leave out '{names[0]}', or leave out --all")
    folders = [path.parent for path in sorted(RUNS.glob("*/archive.db"))]
    if not folders:
        raise UsageError(f"{RUNS}/ holds no run yet; start one with `discover run demo`")
    found, unreadable = standings(folders, limit)
    for complaint in unreadable:
        typer.echo(f"warning: left out: {complaint}", err=True)
    if as_json:
        print_json([each.as_json() for each in found])
        return
    out = console()
    for each in found:
        out.print(leaderboard_table(each.rows, out.width))
        typer.echo(_about(each))


def _about(standing: Standing) -> str:
    """Which runs were ranked, and which were not."""
    lines = [f"{standing.problem}: {len(standing.runs)} runs measured alike: {', '.join(standing.runs)}"]
    lines += [f"left out: {run}: {reason}" for run, reason in standing.left_out.items()]
    return "\n".join(lines) + "\n"
