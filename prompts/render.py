"""Rendering prompts from the templates beside this file: one per operator, with parts they share."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prompts.source import as_shown

REFLECT = "reflect"
"""The template of the request for a lesson, which is no operator."""
LINE = re.compile(r"\(line (\d{1,9})\)")
"""How a fault names a line."""


class Shown(Protocol):
    """A parent as far as a prompt goes."""

    @property
    def source(self) -> str:
        """Its file."""

    @property
    def score(self) -> float:
        """Its gap in percent."""

    @property
    def thought(self) -> str:
        """The idea its author stated; empty if there is none."""

    @property
    def fault(self) -> str:
        """Its verdict and why, if it failed."""


class Weakness(Protocol):
    """Where a heuristic loses."""

    @property
    def losses(self) -> Sequence[Any]:
        """The classes in which it loses most: name, meaning, gap and rival_gap, in percent."""

    @property
    def worst(self) -> str:
        """Its costliest instance, in words; empty if nothing is known of it."""


@dataclass(frozen=True, slots=True)
class NoWeakness:
    """Nothing is known of where a heuristic loses."""

    losses: tuple[Any, ...] = ()
    worst: str = ""


UNKNOWN = NoWeakness()


@functools.cache
def _environment() -> Environment:
    folder = Path(str(files("prompts") / "templates"))
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def operators() -> tuple[str, ...]:
    """The operators there is a template for."""
    names = {name.removesuffix(".md.j2") for name in _environment().list_templates() if "/" not in name}
    return tuple(sorted(names - {REFLECT}))


def render(
    operator: str,
    facts: Mapping[str, Any],
    parents: Sequence[Shown],
    seed: str,
    *,
    edits: str = "whole",
    thoughts: bool = True,
    reflection: bool = True,
    lessons: str = "",
    weakness: Weakness = UNKNOWN,
    duel: str = "",
) -> str:
    """The prompt for `operator`.

    `facts`: brief, signature, arguments, returns and hints of the problem; `parents` are shown without the module's
    docstring, which tells of their origin; `seed` draws the hint. `edits`: whether the answer shall be a `whole` file
    or a `diff` to the first parent; `thoughts`: whether it shall state its idea; `reflection`: whether a crossover
    shall first say what is good about its parents. `weakness` is the first parent's; `duel` says who of two is ahead
    where.
    """
    shown = [
        {
            "score": parent.score,
            "source": as_shown(parent.source),
            "thought": parent.thought if thoughts else "",
            "fault": parent.fault,
            "faulty": _line_at_fault(parent),
        }
        for parent in parents
    ]
    hint = random.Random(seed).choice(facts["hints"] or ("",))
    style = {"edits": edits, "thoughts": thoughts, "reflection": reflection}
    told = {"variety": hint, "lessons": lessons, "weakness": weakness, "duel": duel}
    return _environment().get_template(f"{operator}.md.j2").render(**facts, parents=shown, **style, **told)


def _line_at_fault(parent: Shown) -> str:
    """The line of a parent's file that its fault names; empty if it names none. Models cannot count lines."""
    named = LINE.search(parent.fault)
    lines = parent.source.splitlines()
    number = int(named[1]) if named else 0
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def render_reflection(facts: Mapping[str, Any], attempts: Sequence[str], lessons: str) -> str:
    """The prompt for a lesson from `attempts`, one line each, that replaces the `lessons` so far."""
    return _environment().get_template(f"{REFLECT}.md.j2").render(**facts, attempts=attempts, lessons=lessons)
