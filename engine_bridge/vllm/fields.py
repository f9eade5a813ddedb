"""Which fields of the view a policy can read, so that the others need not be gathered and sent."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from engine_bridge.policy import SCALAR_NAMES, VECTOR_NAMES, Array, View

_WORD = re.compile(r"\w+")
_BY_NAME = frozenset(
    {
        *("getattr", "vars", "dir", "eval", "exec", "compile", "globals", "locals", "attrgetter", "methodcaller"),
        *("__dict__", "__getattr__", "__getattribute__", "vectors", "inspect", "importlib", "__import__", "pickle"),
    }
)
"""Ways to reach a field without writing its name as one word."""


def read_fields(source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of `VECTOR_NAMES` and of `SCALAR_NAMES` that a policy's source may read; all if it could read any.

    A field whose name stands nowhere in the code as a word is only within reach of the means in `_BY_NAME`. There
    is always one vector, as its length says how many requests are shown.
    """
    # Python normalises identifiers so: a name in other letters is the same name.
    code = unicodedata.normalize("NFKC", _code(source))
    words = set(_WORD.findall(code))
    if words & _BY_NAME or re.search(r"\\[xuUN0-7]", code):
        return VECTOR_NAMES, SCALAR_NAMES
    vectors = tuple(name for name in VECTOR_NAMES if name in words) or VECTOR_NAMES[:1]
    return vectors, tuple(name for name in SCALAR_NAMES if name in words)


def _code(source: str) -> str:
    """A source without comments and documentation: these name fields that the code does not read."""
    try:
        return ast.unparse(_Undocumented().visit(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source  # it will be refused; till then all its words count


class _Undocumented(ast.NodeTransformer):
    """Leaves out strings that stand alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A statement that is only a value."""
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if alone else node


def records_of(vectors: Sequence[str], scalars: Sequence[str]) -> str:
    """How a sealed process makes its view of the rows `vectors`, and the numbers `scalars` if there are any."""
    return f"view:{'|'.join(vectors)}" + (f",{'|'.join(scalars)}" if scalars else "")


def values_of(view: View, scalars: Sequence[str]) -> list[Array]:
    """What `records_of` makes a view of; a single field is sent as it is, several as the rows of one array."""
    vectors = view.vectors if len(view.vectors) > 1 else view.vectors[0]
    if not scalars:
        return [vectors]
    numbers = view.numbers[_places(tuple(scalars))]
    return [vectors, numbers if len(scalars) > 1 else numbers[0]]


@cache
def _places(scalars: tuple[str, ...]) -> Array:
    """Where these stand among `SCALAR_NAMES`."""
    return np.array([SCALAR_NAMES.index(name) for name in scalars])
