"""Heuristics' files as prompts show them."""

from __future__ import annotations

import ast
from functools import lru_cache


@lru_cache(maxsize=512)
def without_docstring(source: str) -> str:
    """A file less its module docstring, which tells of its origin; unchanged if it has none or is no Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return source
    if not (body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return source
    return "".join(source.splitlines(keepends=True)[body[0].end_lineno or 0 :]).lstrip("\n")
