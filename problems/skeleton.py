"""Skeletons: files with an expression and some parameters left open, for problems whose answer is no score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from problems.entry import Argument, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """A heuristic file but for the body of one function and the values of some constants.

    `source` is the fixed part: plain Python with its entry function, which may use NumPy as `np`, the constants
    by their names and `function`, called with `arguments`. That function scores: one value per job, lowest first.
    """

    function: str
    arguments: tuple[Argument | Record, ...]
    source: str
    parameters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The values each constant can take, in an order in which neighbours are alike."""
