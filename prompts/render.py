"""Rendering prompts from the templates beside this file: one per operator, sharing a preamble."""

from __future__ import annotations

import ast
import functools
import random
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined


class Shown(Protocol):
    """A parent as far as a prompt goes."""

    @property
    def source(self) -> str:
        """Its file."""

    @property
    def score(self) -> float:
        """Its gap in percent."""


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
    return tuple(sorted(names - {"preamble", "parent", "answer"}))


def render(operator: str, facts: Mapping[str, Any], parents: Sequence[Shown], seed: str) -> str:
    """The prompt for `operator`.

    `facts`: brief, signature, arguments, returns and hints of the problem; `parents`: objects with `score`
    (percent) and `source`, shown without the module's docstring, which tells of its origin; `seed` draws the hint.
    """
    shown = [{"score": parent.score, "source": without_docstring(parent.source)} for parent in parents]
    hint = random.Random(seed).choice(facts["hints"] or ("",))
    return _environment().get_template(f"{operator}.md.j2").render(**facts, parents=shown, variety=hint)


def without_docstring(source: str) -> str:
    """A file less its module docstring; unchanged where it has none or is no Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return source
    if not (body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return source
    return "".join(source.splitlines(keepends=True)[body[0].end_lineno or 0 :]).lstrip("\n")
