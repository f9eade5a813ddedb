"""Bounds are data: computed once per instance content, stored, and looked up ever after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from problems.base import Bound, Instance, Problem


class BoundsError(RuntimeError):
    """A file of stored bounds cannot be read; the message names the file, the line and the remedy."""


def load_bounds(folder: Path | None) -> dict[str, Bound]:
    """All stored bounds of a folder of JSON-lines files, by instance digest.

    Raises:
        BoundsError: a line is not a bound.
    """
    bounds: dict[str, Bound] = {}
    for path in sorted(folder.glob("*.jsonl")) if folder else ():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                record = json.loads(line)
                digest = record.pop("instance")
                solution = record.pop("solution", None)
                bounds[digest] = Bound(**record, solution=tuple(solution) if solution is not None else None)
            except (ValueError, KeyError, TypeError) as error:
                raise BoundsError(f"{path}, line {number} is not a stored bound ({error}); restore the file") from error
    return bounds


def save_bounds(path: Path, instances: Sequence[Instance], bounds: Sequence[Bound]) -> None:
    """Write the bounds of `instances` as JSON lines, in their order."""
    lines = [
        json.dumps({"instance": instance.digest, **asdict(bound)}, separators=(",", ":"))
        for instance, bound in zip(instances, bounds, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def bounds_of(problem: Problem, instances: Iterable[Instance]) -> list[Bound]:
    """The bound of each instance: the one stored with the problem, else computed."""
    known = load_bounds(problem.bounds)
    return [known.get(instance.digest) or problem.bound(instance) for instance in instances]
