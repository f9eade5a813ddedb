"""The command accept: is a candidate better than every baseline on instances nobody has seen?"""

from __future__ import annotations

import secrets
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from discovery.archive import Archive
from discovery.champion import SIGNIFICANT, Trial, record_of, try_out
from discovery.champions import add_trial, attempt, keep
from discovery.folders import source_of, split_name
from discovery.output import print_json
from discovery.tables import console


def accept(name: str, seed: int | None, *, as_json: bool) -> None:
    """Try a candidate on fresh instances; keep it as a champion if it beats every baseline, else exit with 1."""
    folder, label = split_name(name)
    with Archive(folder, "read") as archive:
        # Drawn now, so that no search can have seen the instances.
        drawn = secrets.randbits(32) if seed is None else seed
        problem = archive.meta()["problem"]
        number = attempt(problem, folder.name, label, drawn)
        trial = try_out(archive, label, seed=drawn, attempt=number, phase=_phase)
        add_trial(problem, trial.as_json)  # what was refused counts as tried, too
        path = None
        if not trial.unbeaten:
            name = f"{trial.run}-{trial.candidate}"
            path = keep(problem, name, source_of(archive, label), record_of(archive, trial))
    if as_json:
        print_json({**trial.as_json, "kept": path and path.as_posix()})
    else:
        console().print(trial_table(trial))
        typer.echo(_verdict(trial, path))
    if path is None:
        raise typer.Exit(1)


def trial_table(trial: Trial) -> Table:
    """The candidate against each baseline, the best baseline first."""
    kinds = " and ".join(f"{count} {kind}" for kind, count in trial.bound_kinds.items())
    gap = _figure(trial.gaps[trial.candidate])
    level = trial.against[0].level if trial.against else 0.95
    table = Table(
        title=f"{trial.run}/{trial.candidate}: {gap} % on {trial.instances} fresh instances of {trial.problem}",
        caption=f"gap: Σcost/Σbound − 1, to {kinds} bounds · seed {trial.seed} · candidate {trial.attempt} tried for"
        f" this problem: p and intervals are corrected for that (Bonferroni, 1/k(k + 1) of the error rate each);"
        f" beaten: interval below 0, more won than lost, p < {SIGNIFICANT:g}",
        box=SIMPLE_HEAD,
    )
    table.add_column("baseline")
    for heading in ("gap", "difference", f"{100 * level:.4g} % interval", "won/tied/lost", "corrected p", "beaten"):
        table.add_column(heading, justify="right", no_wrap=True)
    order = sorted(trial.against, key=lambda each: trial.gaps[each.rival] or 0.0)
    for each in order:
        p = trial.corrected(each)
        table.add_row(
            each.rival,
            _figure(trial.gaps[each.rival]),
            _figure(each.difference_pct),
            f"{_figure(each.low)} … {_figure(each.high)}",
            f"{each.wins}/{each.ties}/{each.losses}",
            "–" if p is None else f"{p:.0e}",
            "yes" if trial.beats(each) else "no",
        )
    return table


def _verdict(trial: Trial, path: Path | None) -> str:
    if path is not None:
        return f"Accepted: it beats every baseline; kept in {path} with its record."
    return f"Not accepted: it does not clearly beat {', '.join(trial.unbeaten)}."


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _phase(name: str) -> None:
    typer.echo(f"{name} …", err=True)
