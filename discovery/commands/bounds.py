"""The command bounds: stored bounds, computed again, or bounds of the user's own instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from discovery.commands.evaluate import read_instances
from discovery.errors import UsageError
from discovery.output import print_json
from evaluators.bounds import load_bounds, save_bounds
from problems.base import Bound, Instance, Problem
from problems.registry import load_problem


def bounds(problem_name: str, instances_file: Path | None, *, recompute: bool, write: bool, as_json: bool) -> None:
    """Bound a user's instances, or show, check and store those of the standard splits."""
    problem = load_problem(problem_name)
    if instances_file is not None:
        if recompute or write:
            raise UsageError("--recompute and --write are for the standard splits; leave out --instances")
        _own(problem, read_instances(problem, instances_file), as_json=as_json)
        return
    if write and problem.bounds is None:
        raise UsageError(f"{problem.name} names no folder for its bounds; set its attribute `bounds`")
    report = [_split(problem, name, recompute=recompute, write=write) for name in problem.splits]
    if as_json:
        print_json(report)
    else:
        for line in report:
            typer.echo(_sentence(line))
    if any(line["differences"] for line in report):
        raise typer.Exit(1)


def _own(problem: Problem, instances: Sequence[Instance], *, as_json: bool) -> None:
    records = []
    for instance in instances:
        bound = problem.bound(instance)
        records.append(
            {
                "instance": instance.name,
                "value": bound.value,
                "kind": bound.kind,
                "best": bound.best,
                "sequence": bound.solution,
                "method": bound.method,
                "seconds": bound.seconds,
                **bound.details,
            }
        )
    if as_json:
        print_json(records)
        return
    for record in records:
        typer.echo(f"{record['instance']}: {record['value']:g} ({record['kind']}), {record['seconds']:.3g} s CPU")


def _split(problem: Problem, name: str, *, recompute: bool, write: bool) -> dict[str, Any]:
    """What is stored for one split; with `recompute`, also what computing it again gives."""
    instances = problem.split(name)
    stored = load_bounds(problem.bounds)
    computed: dict[str, Bound] = {}
    if recompute or write:
        computed = {instance.digest: problem.bound(instance) for instance in instances}
    differences = [
        f"{instance.name}: stored {stored[instance.digest].value:g}, now {computed[instance.digest].value:g}"
        for instance in instances
        if instance.digest in stored
        and instance.digest in computed
        and stored[instance.digest].value != computed[instance.digest].value
    ]
    if write and problem.bounds is not None:
        problem.bounds.mkdir(exist_ok=True)
        save_bounds(problem.bounds / f"{name}.jsonl", instances, [computed[i.digest] for i in instances])
        stored |= computed
    kinds = Counter(stored[i.digest].kind if i.digest in stored else "not stored" for i in instances)
    seconds = sum(bound.seconds for bound in computed.values()) if computed else None
    return {
        "split": name,
        "instances": len(instances),
        "kinds": dict(kinds),
        "recomputed": len(computed),
        "cpu_seconds": seconds,
        "differences": [] if write else differences,
    }


def _sentence(line: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in line["kinds"].items())
    text = f"{line['split']}: {line['instances']} instances, {kinds}"
    if line["recomputed"]:
        text += f"; computed again in {line['cpu_seconds']:.1f} s CPU, {len(line['differences'])} differences"
    return "\n  ".join([text, *line["differences"][:10]])
