"""Entry functions: what a heuristic file defines, and how it is driven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Driver = Literal["once", "dispatch", "interactive"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an entry function: what prompts tell a model, and what the genetic proposer may use."""

    name: str
    meaning: str
    shape: Literal["vector", "scalar"] = "vector"
    sign: Literal["positive", "nonnegative", "any"] = "any"


@dataclass(frozen=True, slots=True)
class Entry:
    """The function a heuristic file defines, and how it is driven.

    `once`: called one time per instance. `dispatch`: called for every job to be placed, in a loop inside the
    sealed process, until none remains. `interactive`: asked by the problem's own trusted code, many times.
    """

    function: str
    arguments: tuple[Argument, ...]
    returns: str
    driver: Driver
    shown_by: tuple[str, ...] = ()
    """`dispatch`: the vectors by which jobs are sorted before they are shown, so that ties break that way."""

    @property
    def signature(self) -> str:
        """The call as a heuristic's author writes it, e.g. `priority(p, d, t)`."""
        return f"{self.function}({', '.join(argument.name for argument in self.arguments)})"
