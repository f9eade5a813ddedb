"""The command evaluate: one heuristic on a standard split or on the user's own instances."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from discovery.errors import UsageError
from discovery.output import print_json
from discovery.scoring import score
from discovery.tables import console, score_table
from evaluators.bounds import bounds_of
from evaluators.evaluate import Allowance
from evaluators.evaluate import evaluate as run_sealed
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.base import Instance, InstanceError, Problem
from problems.registry import load_problem

FRESH = "fresh:"
"""What a split's name begins with whose instances are drawn with the seed that follows, as `discover accept` does."""


@dataclass(frozen=True, slots=True)
class BoundedClasses:
    """An instance's classes and bound, as scoring wants them."""

    classes: tuple[str, ...]
    bound: float
    kind: str


def evaluate(
    name: str,
    problem_name: str,
    split: str | None,
    instances_file: Path | None,
    *,
    cpu_scale: float,
    memory_mb: int,
    as_json: bool,
) -> None:
    """Evaluate and print; a heuristic that fails ends the command with exit code 1."""
    problem = load_problem(problem_name)
    heuristic = find_heuristic(problem, name)
    instances = choose_instances(problem, split, instances_file)
    where = split or str(instances_file)
    bounds = bounded(problem, instances)
    with Sandbox() as sandbox:
        tier = sandbox.tier
        evaluation = run_sealed(problem, heuristic.source, instances, sandbox, Allowance(cpu_scale, memory_mb))
    result = score(evaluation, bounds)
    if as_json:
        facts = {"problem": problem.name, "split": where, "heuristic": heuristic.name, "isolation": tier.value}
        print_json({**facts, **result.as_json()})
    elif result.verdict is Verdict.ok:
        console().print(score_table(heuristic.name, problem.name, where, result))
    if result.verdict is not Verdict.ok:
        typer.echo(f"error: {heuristic.name} failed: {result.verdict}: {result.detail}", err=True)
        raise typer.Exit(1)


def bounded(problem: Problem, instances: Sequence[Instance]) -> list[BoundedClasses]:
    """What scoring needs of `instances`, in their order; a bound that is not stored is computed."""
    bounds = bounds_of(problem, instances)
    return [BoundedClasses(i.classes, bound.value, bound.kind) for i, bound in zip(instances, bounds, strict=True)]


def choose_instances(problem: Problem, split: str | None, instances_file: Path | None) -> Sequence[Instance]:
    """The instances of a standard split, of `fresh:SEED`, or of a file.

    Raises:
        UsageError: neither or both were named, or there is no such split.
        InstanceError: the file holds something else than instances of the problem.
    """
    if split is None and instances_file is not None:
        return read_instances(problem, instances_file)
    if split is None or instances_file is not None:
        raise UsageError(f"name either --split ({', '.join(problem.splits)}, {FRESH}SEED) or --instances FILE")
    if re.fullmatch(f"{FRESH}[0-9]+", split):
        return problem.fresh(int(split.removeprefix(FRESH)))
    if split not in problem.splits:
        raise UsageError(f"{problem.name} has no split '{split}'; choose {', '.join(problem.splits)}, {FRESH}SEED")
    return problem.split(split)


def read_instances(problem: Problem, path: Path) -> list[Instance]:
    """Instances from JSON lines, one object a line; blank lines are passed over.

    Raises:
        UsageError: the file cannot be read or holds no instance.
        InstanceError: a line is no JSON object or no instance; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the instances in '{path}' cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    instances = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InstanceError(f"{where}: no JSON ({error}); write one instance a line") from None
        if not isinstance(record, dict):
            raise InstanceError(f"{where}: expected an object with a list for each of the problem's arrays")
        instances.append(problem.parse(record, where))
    if not instances:
        raise UsageError(f"'{path}' holds no instance; write one JSON object a line")
    return instances
