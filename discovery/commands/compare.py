"""The command compare: several heuristics on the same instances, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from discovery.commands.evaluate import bounded, choose_instances
from discovery.errors import UsageError
from discovery.output import print_json
from discovery.scoring import Score, score
from discovery.tables import console
from evaluators.evaluate import Allowance, evaluate
from evaluators.gaps import Gaps
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.registry import load_problem

FIGURES = {"mean": "mean_gap_pct", "ratio": "ratio_gap_pct", "median": "median_gap_pct"}


def compare(
    names: Sequence[str],
    problem_name: str,
    split: str | None,
    instances_file: Path | None,
    *,
    by: str,
    as_json: bool,
) -> None:
    """Evaluate each heuristic and print one table; exit code 1 if one of them fails."""
    if by not in FIGURES:
        raise UsageError(f"--by {by}: choose {', '.join(FIGURES)}")
    problem = load_problem(problem_name)
    heuristics = {name: find_heuristic(problem, name) for name in names}  # files may share a name, not a path
    instances = choose_instances(problem, split, instances_file)
    where = split or str(instances_file)
    bounds = bounded(problem, instances)
    with Sandbox() as sandbox:
        scores = {
            name: score(evaluate(problem, heuristic.source, instances, sandbox, Allowance()), bounds)
            for name, heuristic in heuristics.items()
        }
    if as_json:
        records = [{"problem": problem.name, "split": where, "heuristic": n, **s.as_json()} for n, s in scores.items()]
        print_json(records)
    else:
        console().print(comparison_table(scores, f"{problem.name} ({where})", by))
    failed = {name: each for name, each in scores.items() if each.verdict is not Verdict.ok}
    for name, each in failed.items():
        typer.echo(f"error: {name} failed: {each.verdict}: {each.detail}", err=True)
    if failed:
        raise typer.Exit(1)


def comparison_table(scores: dict[str, Score], title: str, by: str) -> Table:
    """One row per class, one column per heuristic, `by` in percent."""
    sound = {name: each for name, each in scores.items() if each.gaps is not None}
    kinds = sorted({kind for each in scores.values() for kind in each.bound_kinds})
    table = Table(title=f"{title}: {by} gap in % to {' or '.join(kinds)} bounds", box=SIMPLE_HEAD)
    table.add_column("class")
    table.add_column("instances", justify="right")
    for name in sound:
        table.add_column(name, justify="right")

    def figure(gaps: Gaps | None) -> str:
        value = getattr(gaps, FIGURES[by])
        return "–" if value is None else f"{value:.2f}"

    for each in list(sound.values())[:1]:
        for name, gaps in each.classes.items():
            table.add_row(name, str(gaps.instances), *(figure(other.classes[name]) for other in sound.values()))
        table.add_row("all", str(each.instances), *(figure(other.gaps) for other in sound.values()))
    return table
