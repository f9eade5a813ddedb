"""Rendering prompts from the templates beside this file: one per operator, sharing a preamble."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HINTS = (
    "Consider how the remaining slack of a job compares with its length.",
    "Consider what happens to the jobs that are bound to be late anyway.",
    "Consider how much work remains in total, and how that should change the rule.",
    "Consider the cost of letting one long job wait against many short ones.",
    "Consider a smooth trade-off where known rules switch abruptly.",
    "Consider the distribution of the values, not only the single job.",
)
"""One is drawn per request, so that equal parents do not give equal prompts."""


@functools.cache
def _environment() -> Environment:
    folder = Path(str(files("prompts") / "templates"))
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def operators() -> tuple[str, ...]:
    """The operators there is a template for."""
    names = {name.removesuffix(".md.j2") for name in _environment().list_templates()}
    return tuple(sorted(names - {"preamble", "parent"}))


def render(operator: str, facts: Mapping[str, object], parents: Sequence[object], seed: str) -> str:
    """The prompt for `operator`.

    `facts`: brief, signature, arguments and returns of the problem; `parents`: objects with `score` (percent)
    and `source`; `seed` draws the hint.
    """
    hint = random.Random(seed).choice(HINTS)
    return _environment().get_template(f"{operator}.md.j2").render(**facts, parents=parents, variety=hint)
