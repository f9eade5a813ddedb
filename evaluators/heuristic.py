"""Heuristic files: one Python source with one entry function, the same for baselines, candidates, champions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from problems.base import Problem

MAX_SOURCE_BYTES = 256 * 1024


class HeuristicError(ValueError):
    """A heuristic cannot be found or read; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Heuristic:
    """A named source."""

    name: str
    source: str


def baselines(problem: Problem) -> list[Heuristic]:
    """The baseline heuristics of a problem, by name."""
    if problem.baselines is None:
        return []
    paths = sorted(problem.baselines.glob("*.py"))
    if numbered := [path.name for path in paths if path.stem.isdecimal()]:
        raise HeuristicError(f"baseline {numbered[0]}: numbers name candidates; give the file another name")
    return [Heuristic(path.stem, path.read_text(encoding="utf-8")) for path in paths]


def find_heuristic(problem: Problem, name: str) -> Heuristic:
    """The baseline called `name`, else the file at that path.

    Raises:
        HeuristicError: there is neither, or the file is not text of at most 256 KB.
    """
    known = {heuristic.name: heuristic for heuristic in baselines(problem)}
    if name in known:
        return known[name]
    path = Path(name)
    if not path.is_file():
        listed = f"; baselines of {problem.name}: {', '.join(known)}" if known else ""
        raise HeuristicError(f"'{name}' is neither a file nor a baseline{listed}")
    if path.stat().st_size > MAX_SOURCE_BYTES:
        raise HeuristicError(f"{path} is larger than {MAX_SOURCE_BYTES // 1024} KB; a heuristic is one small file")
    try:
        return Heuristic(path.name, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise HeuristicError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
