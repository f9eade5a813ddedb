"""The command verify: winners scored again from their recorded source."""

from __future__ import annotations

from typing import Any

import typer

from discovery.archive import Archive
from discovery.config import Config
from discovery.folders import run_folder, source_of
from discovery.leaderboard import SPLITS, leaderboard
from discovery.output import print_json
from discovery.session import allowance_of
from evaluators.bounds import bounds_of
from evaluators.evaluate import evaluate
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Instance, Problem
from problems.registry import load_problem


def verify(name: str, *, as_json: bool) -> None:
    """Print what differs from the archive; exit code 1 if anything does."""
    with Archive(run_folder(name), "read") as archive:
        checked, differences = recheck(archive)
    if as_json:
        print_json({"run": archive.folder.name, "checked": checked, "differences": differences})
    else:
        for difference in differences:
            typer.echo(f"DIFFERS {difference}")
        typer.echo(f"{checked} evaluations made again from source, {len(differences)} differences")
    if differences:
        raise typer.Exit(1)


def recheck(archive: Archive) -> tuple[int, list[str]]:
    """Evaluate every heuristic of the leaderboard again; how many evaluations, and what differs."""
    config = Config.model_validate(archive.config)
    problem = load_problem(config.run.problem)
    allowance = allowance_of(config)
    checked, differences = 0, []
    with Sandbox() as sandbox:
        for split in SPLITS:
            instances = problem.split(split)
            differences += _instances_differ(archive, problem, split, list(instances))
            for row in leaderboard(archive):
                recorded = archive.evaluation(row.heuristic, split)
                if recorded is None:
                    continue
                again = evaluate(problem, source_of(archive, row.heuristic), instances, sandbox, allowance)
                checked += 1
                if (again.verdict, again.costs) != (recorded.verdict, recorded.costs):
                    differences.append(f"{row.heuristic} on {split}: {_what(recorded, again)}")
    return checked, differences


def _instances_differ(archive: Archive, problem: Problem, split: str, instances: list[Instance]) -> list[str]:
    recorded = archive.instances(split)
    if [each.digest for each in recorded] != [each.digest for each in instances]:
        return [f"the instances of the {split} split are not those of the run"]
    bounds = bounds_of(problem, instances)
    return [
        f"bound of {split} instance {instance.name}: recorded {old.bound}, now {new.value}"
        for instance, old, new in zip(instances, recorded, bounds, strict=True)
        if old.bound != new.value
    ]


def _what(recorded: Any, again: Any) -> str:
    if recorded.verdict != again.verdict:
        return f"recorded {recorded.verdict}, now {again.verdict} {again.detail}"
    if len(recorded.costs) != len(again.costs):
        return f"recorded {len(recorded.costs)} costs, now {len(again.costs)}"
    pairs = zip(recorded.costs, again.costs, strict=True)
    changed = [index for index, (old, new) in enumerate(pairs) if old != new]
    first = changed[0]
    return (
        f"{len(changed)} costs, first at instance {first}: recorded {recorded.costs[first]}, now {again.costs[first]}"
    )
