"""Heuristics' files as prompts show them."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

IDEA = re.compile(r"\s*#[ \t]*idea\b.*\n(?:#.*\n)*\s*", re.IGNORECASE)
"""The comment in which a file begins with its idea."""


@lru_cache(maxsize=512)
def as_shown(source: str) -> str:
    """A file less its module docstring, which tells of its origin, and less its idea, which is told in one line."""
    source = _without_docstring(source)
    idea = IDEA.match(source)
    return source[idea.end() :] if idea else source


def _without_docstring(source: str) -> str:
    """Unchanged if it has none or is no Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return source
    if not (body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return source
    return "".join(source.splitlines(keepends=True)[body[0].end_lineno or 0 :]).lstrip("\n")
