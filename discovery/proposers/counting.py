"""Which expressions of a file count or index something, so that what is added to them must stay whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

COUNTERS = (
    "len", "range", "arange", "int", "round", "argmin", "argmax", "argsort", "lexsort", "argpartition", "searchsorted",
    "digitize", "count_nonzero", "flatnonzero", "indices",
)  # fmt: skip
"""Calls that give counts or indices."""
ATTRIBUTES = ("size", "shape", "ndim")
"""Attributes of an array that do."""
CHOICES = ("min", "max", "minimum", "maximum", "clip", "where", "abs", "divmod", "sorted", "reversed")
"""Calls that give what one of their arguments gives."""
SAME = ("tolist", "copy", "item", "ravel", "min", "max")
"""Methods that give what is in their array."""


def beside_counts(tree: ast.Module) -> set[ast.expr]:
    """The operands, however deep, of all sums, products and choices that count."""
    found: set[ast.expr] = set()
    _search(tree, frozenset(), found)
    return found


def _search(scope: ast.AST, known: Set[str], found: set[ast.expr]) -> None:
    """Add what is found in the module or function `scope`, where the names `known` count."""
    nodes = list(_own(scope))
    names = set(known)
    while new := {name for node in nodes for name in _given(node, names)} - names:
        names |= new
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            _search(node, names, found)
        elif isinstance(node, ast.expr) and (node in found or _counts(node, names)):
            found.update(_operands(node))  # nodes come before what is in them


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a scope but those within the functions it defines."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef):
            yield from _own(node)


def _given(node: ast.AST, names: Set[str]) -> Iterator[str]:
    """The names to which a statement or a comprehension gives what counts."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value, names)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
            yield from _unpacked(target, value, names)
        case ast.For(target=ast.Tuple(elts=[first, *_]), iter=ast.Call(func=ast.Name(id="enumerate"))):
            yield from _names(first)
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            yield from _unpacked(target, value, names)


def _unpacked(target: ast.expr, value: ast.expr, names: Set[str]) -> Iterator[str]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for each, its_value in zip(target.elts, value.elts, strict=True):
            yield from _unpacked(each, its_value, names)
    elif _counts(value, names):
        yield from _names(target)


def _names(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _counts(node: ast.expr, names: Set[str]) -> bool | None:
    """Whether an expression counts; False if it is a fraction, None if that cannot be told."""
    match node:
        case ast.Constant(value=value):
            return False if isinstance(value, float) else None
        case ast.Name(id=name):
            return name in names or None
        case ast.Subscript(value=inner):
            return _counts(inner, names)
        case ast.Attribute(attr=name):
            return name in ATTRIBUTES or None
        case ast.BinOp(op=ast.Div() | ast.Pow()):
            return False
        case ast.Call() if called_name(node) in COUNTERS:
            return True
        case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[]) if name in SAME:
            return _counts(inner, names)
    each = {_counts(operand, names) for operand in _operands(node)}
    return False if False in each else (True in each or None)


def _operands(node: ast.expr) -> list[ast.expr]:
    """What the value of an expression is made of, if it counts when one of these does."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.IfExp(body=first, orelse=second):
            return [first, second]
        case ast.Call(args=arguments) if called_name(node) in CHOICES:
            return arguments
    return []


def called_name(node: ast.Call) -> str:
    """The name of what is called, whatever it belongs to; empty where it has none."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
