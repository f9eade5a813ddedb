"""The numbers of a heuristic that a search may change, found in its syntax tree, and changed in its text."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from discovery.proposers.counting import beside_counts, called_name

Kind = Literal["number", "whole", "term"]
Role = Literal["term", "factor", "set", "other"]
"""What an expression is in another: a term or a factor may be any number; one that a name is `set` to may be counted
with; of any `other` it is not known, and whole numbers are left alone."""

WIDTHS = (0.1, 0.3, 0.8)
"""Standard deviations of the logarithm of a factor: small, middle and large steps, drawn alike."""
FACTOR_SHARE = 0.2
"""How often a term gets a factor though there are numbers to change."""
ALL_SHARE = 0.25
"""How often all numbers are changed, not one."""
TINY, HUGE = 1e-5, 1e6
"""Numbers outside these are guards (against division by zero, "never"), not parameters."""

TERMS = ("maximum", "minimum", "fmax", "fmin", "where", "max", "min")
"""Calls whose arguments are terms of a score: numbers among them may be any number, others may get a factor."""
NUMBERS = ("clip", "exp", "exp2", "expm1", "log", "log1p", "sqrt", "tanh", "power", "abs", "percentile", "quantile")
"""Calls whose arguments may be any number."""
SHAPES = (
    "range", "arange", "zeros", "ones", "full", "empty", "linspace", "reshape", "partition", "argpartition", "take",
    "roll", "repeat", "tile", "eye", "islice", "int", "round", "astype", "nlargest", "nsmallest",
)  # fmt: skip
"""Calls whose arguments count or shape something."""
BARE = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)
"""What needs no brackets behind a factor."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a file's UTF-8 text: a `number`, a `whole` number that must stay one, or a `term` of a score."""

    kind: Kind
    start: int
    end: int
    node: ast.expr


def perturbed(source: str, rng: random.Random) -> str | None:
    """The file with one number changed, or all of them, or a factor put before a term; None if it has neither."""
    found = places(source)
    numbers = [place for place in found if place.kind != "term"]
    terms = [place for place in found if place.kind == "term"]
    width = rng.choice(WIDTHS)
    if terms and (not numbers or rng.random() < FACTOR_SHARE):
        chosen = [rng.choice(terms)]
    elif numbers:
        chosen = numbers if rng.random() < ALL_SHARE else [rng.choice(numbers)]
    else:
        return None
    text = source.encode()
    for place in sorted(chosen, key=lambda place: -place.start):
        old = text[place.start : place.end].decode()
        text = text[: place.start] + _changed(place, old, rng.lognormvariate(0, width)).encode() + text[place.end :]
    return text.decode()


@lru_cache(maxsize=256)
def places(source: str) -> tuple[Place, ...]:
    """What may be changed in a file, in the order of its text; nothing in what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    starts = [0] + [match.end() for match in re.finditer(rb"\r\n|\r|\n", source.encode())]
    found = []
    counted = beside_counts(tree)
    for kind, node in _statements(tree.body):
        if node in counted:
            if kind == "term" or (isinstance(node, ast.Constant) and node.value == 1):
                continue  # one more or less than a count is where something begins or ends
            kind = "whole"
        assert node.end_lineno is not None and node.end_col_offset is not None  # parsed from text
        start = starts[node.lineno - 1] + node.col_offset
        found.append(Place(kind, start, starts[node.end_lineno - 1] + node.end_col_offset, node))
    return tuple(sorted(found, key=lambda place: (place.start, -place.end)))


def _changed(place: Place, old: str, factor: float) -> str:
    if place.kind == "term":
        return f"{factor:.4g} * {old}" if isinstance(place.node, BARE) else f"{factor:.4g} * ({old})"
    assert isinstance(place.node, ast.Constant) and isinstance(place.node.value, int | float)
    value = place.node.value
    if place.kind == "whole":
        moved = max(round(value * factor), 1)  # no step, size or divisor is 0
        return str(moved if moved != value else value + (1 if factor > 1 or value == 1 else -1))
    return f"{value * factor:.6g}"


def _statements(body: Sequence[ast.stmt]) -> Iterator[tuple[Kind, ast.expr]]:
    for statement in body:
        match statement:
            case ast.Assign(value=value) | ast.AugAssign(value=value):
                yield from _found(value, "set")
            case ast.AnnAssign(value=ast.expr() as value):
                yield from _found(value, "set")
            case ast.FunctionDef(args=arguments, body=inner):
                for default in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
                    yield from _found(default, "set")
                yield from _statements(inner)
            case ast.Return(value=ast.expr() as value) | ast.Expr(value=value):
                yield from _found(value, "other")
            case ast.If(test=test, body=inner, orelse=other) | ast.While(test=test, body=inner, orelse=other):
                yield from _found(test, "other")
                yield from _statements([*inner, *other])
            case ast.For(body=inner, orelse=other):
                yield from _statements([*inner, *other])


def _found(node: ast.expr, role: Role) -> Iterator[tuple[Kind, ast.expr]]:
    """What may be changed in an expression that plays a role in another, or in a statement."""
    if isinstance(node, ast.Constant):
        yield from _number(node, role)
        return
    if role == "term" and (isinstance(node, BARE) or (isinstance(node, ast.BinOp) and not _scaled(node))):
        yield "term", node
    for child, its_role in _parts(node, role):
        yield from _found(child, its_role)


def _number(node: ast.Constant, role: Role) -> Iterator[tuple[Kind, ast.expr]]:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not TINY < abs(value) < HUGE:
        return
    if isinstance(value, float) or role in ("term", "factor"):
        yield "number", node
    elif role == "set":
        yield "whole", node  # it may count something


def _parts(node: ast.expr, role: Role) -> Iterable[tuple[ast.expr, Role]]:
    """The operands of an expression, with their roles."""
    match node:
        case ast.UnaryOp(operand=operand):
            return [(operand, "factor" if role == "term" else role)]
        case ast.BinOp():
            return _operands(node)
        case ast.Call():
            return _arguments(node, role)
        case ast.Compare(left=left, ops=ops, comparators=others):
            ordered = all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops)
            return [(each, "factor" if ordered else "other") for each in (left, *others)]
        case ast.IfExp(test=test, body=first, orelse=second):
            return [(test, "other"), (first, role), (second, role)]
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [(part, "other") for part in parts]
        case ast.Subscript(value=inner) | ast.Attribute(value=inner) | ast.Lambda(body=inner):
            return [(inner, "other")]  # what stands in brackets is an index
    return ()


def _operands(node: ast.BinOp) -> list[tuple[ast.expr, Role]]:
    match node.op:
        case ast.Add() | ast.Sub():
            return [(node.left, "term"), (node.right, "term")]
        case ast.Mult() | ast.Div():
            return [(node.left, "factor"), (node.right, "factor")]
        case ast.Pow():  # whole powers of negative numbers are numbers, others are not
            return [(node.left, "factor"), (node.right, "other")]
    return [(node.left, "other"), (node.right, "other")]


def _arguments(node: ast.Call, role: Role) -> Iterator[tuple[ast.expr, Role]]:
    name = called_name(node)
    if isinstance(node.func, ast.Attribute):
        yield node.func.value, "other"
    if name in SHAPES:
        return
    for position, each in enumerate(node.args):
        if name in TERMS and len(node.args) > 1 and not (name == "where" and position == 0):
            # With what Python's own min or max gives a name, one may count: `size = min(len(p), 40)`.
            counts = role == "set" and isinstance(node.func, ast.Name) and name in ("min", "max")
            yield each, "set" if counts else "term"
        else:
            yield each, "factor" if name in NUMBERS else "other"


def _scaled(node: ast.BinOp) -> bool:
    parts = (node.left, node.right)
    return isinstance(node.op, ast.Mult | ast.Div) and any(isinstance(part, ast.Constant) for part in parts)
