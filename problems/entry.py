"""Entry functions: what a heuristic file defines, and how it is driven."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Driver = Literal["once", "dispatch", "interactive"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an entry function, or a field of one: what prompts tell a model, what may stand in expressions.

    A vector has one value per job, or per whatever is scored; a scalar is one number.
    """

    name: str
    meaning: str
    shape: Literal["vector", "scalar"] = "vector"
    sign: Literal["positive", "nonnegative", "any"] = "any"


@dataclass(frozen=True, slots=True)
class Record:
    """An argument with named fields, which a heuristic reads as attributes: `requests.prompt`, `state.now`."""

    name: str
    meaning: str
    fields: tuple[Argument, ...]

    def __post_init__(self) -> None:
        if not self.fields:
            raise ValueError(f"record '{self.name}' has no fields; give it at least one")
        _check_names(f"record '{self.name}'", self.fields)


@dataclass(frozen=True, slots=True)
class Companion:
    """A function that a heuristic file may define beside the entry function, with the same arguments."""

    function: str
    meaning: str
    """What it decides, what it returns, and what happens without it."""
    told: bool = True
    """Whether prompts tell of it."""


@dataclass(frozen=True)
class Entry:
    """The function a heuristic file defines, and how it is driven.

    `once`: called one time per instance. `dispatch`: called for every job to be placed, in a loop inside the
    sealed process, until none remains. `interactive`: asked by the problem's own trusted code, many times.
    """

    function: str
    arguments: tuple[Argument | Record, ...]
    returns: str
    driver: Driver
    shown_by: tuple[str, ...] = ()
    """`dispatch`: the vectors by which jobs are sorted before they are shown, so that ties break that way."""
    companions: tuple[Companion, ...] = ()
    """`interactive`: functions a file may define too; it then needs just one of them all, this one or another."""

    def __post_init__(self) -> None:
        _check_names(f"function '{self.function}'", self.arguments)
        if self.driver == "dispatch" and self.records:
            raise ValueError(f"function '{self.function}': the driver 'dispatch' takes no records; list their fields")
        if self.companions and self.driver != "interactive":
            raise ValueError(f"function '{self.function}': only the driver 'interactive' can ask companions")

    @property
    def functions(self) -> tuple[str, ...]:
        """All functions that may be asked, the entry function first."""
        return (self.function, *(companion.function for companion in self.companions))

    @property
    def signature(self) -> str:
        """The call as a heuristic's author writes it, e.g. `priority(p, d, t)`."""
        return f"{self.function}({', '.join(argument.name for argument in self.arguments)})"

    @cached_property
    def inputs(self) -> tuple[Argument, ...]:
        """All plain arguments and all fields of records, in the order in which their values are sent."""
        parts = [argument.fields if isinstance(argument, Record) else (argument,) for argument in self.arguments]
        return tuple(part for group in parts for part in group)

    @cached_property
    def records(self) -> str:
        """How the sealed process makes records of what is sent, e.g. `requests:prompt,output;state:now`.

        A plain argument among records stands there by its name alone; without any record it is the empty text.
        """
        if not any(isinstance(argument, Record) for argument in self.arguments):
            return ""
        return ";".join(map(_layout, self.arguments))


def _layout(argument: Argument | Record) -> str:
    if isinstance(argument, Argument):
        return argument.name
    return f"{argument.name}:{','.join(field.name for field in argument.fields)}"


def _check_names(what: str, arguments: Sequence[Argument | Record]) -> None:
    """Refuse names that no Python code could use, by raising `ValueError`."""
    names = [argument.name for argument in arguments]
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ValueError(f"{what}: '{name}' cannot be a name in Python code; use letters, digits and _")
        if names.count(name) > 1:
            raise ValueError(f"{what}: two arguments or fields are called '{name}'")
