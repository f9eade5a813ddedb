"""Typed expression trees: signs, operators, nodes, and what is done with trees of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from problems.base import Argument, Array


class Sign(IntEnum):
    """What is known of a value's sign; the larger, the more is known."""

    ANY = 0
    NONNEGATIVE = 1
    POSITIVE = 2


ANY, NONNEGATIVE, POSITIVE = Sign


class Node(NamedTuple):
    """A tree: a constant (`value`), an argument (`name`), or an operator applied to `args`.

    Equal trees are equal tuples. `size` counts nodes and `depth` levels, a leaf having 1 of each.
    """

    op: str
    args: tuple[Node, ...]
    name: str
    value: float
    vector: bool
    sign: Sign
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator is written, what it needs of its operands and what is known of its result."""

    text: str
    binding: int
    """How tightly the written form binds: 1 sum, 2 product, 3 minus sign, 4 power, 5 call or name."""
    operands: tuple[int, ...]
    """The least binding with which each operand can stand there without parentheses."""
    sign: Callable[..., Sign]
    compute: Callable[..., Any]
    """Its value, for numbers and for arrays whose last axis is the jobs."""
    needs: tuple[Sign, ...]
    reduces: bool
    """Whether it makes one number out of a vector."""


def _operator(
    text: str,
    sign: Callable[..., Sign],
    compute: Callable[..., Any],
    *,
    binding: int = 5,
    operands: tuple[int, ...] = (0, 0),
    needs: tuple[Sign, ...] = (),
) -> Operator:
    return Operator(text, binding, operands, sign, compute, needs or (ANY,) * len(operands), reduces=False)


def _reduction(text: str, sign: Callable[..., Sign], compute: Callable[..., Any]) -> Operator:
    return Operator(text, 5, (5,), sign, compute, (ANY,), reduces=True)


def _sign_of_sum(a: Sign, b: Sign) -> Sign:
    return max(a, b) if min(a, b) else ANY


def _at_least_zero(a: Sign) -> Sign:
    return max(a, NONNEGATIVE)


OPERATORS: Mapping[str, Operator] = {
    "add": _operator("{} + {}", _sign_of_sum, lambda a, b: a + b, binding=1, operands=(1, 2)),
    "sub": _operator("{} - {}", lambda a, b: ANY, lambda a, b: a - b, binding=1, operands=(1, 2)),
    "mul": _operator("{} * {}", min, lambda a, b: a * b, binding=2, operands=(2, 3)),
    "div": _operator("{} / {}", min, lambda a, b: a / b, binding=2, operands=(2, 3), needs=(ANY, POSITIVE)),
    "neg": _operator("-{}", lambda a: ANY, lambda a: -a, binding=3, operands=(4,)),
    "square": _operator("{} ** 2", _at_least_zero, lambda a: a * a, binding=4, operands=(5,)),
    "maximum": _operator("np.maximum({}, {})", max, np.maximum),
    "minimum": _operator("np.minimum({}, {})", min, np.minimum),
    "abs": _operator("np.abs({})", _at_least_zero, abs, operands=(0,)),
    "sqrt": _operator("np.sqrt({})", _at_least_zero, np.sqrt, operands=(0,), needs=(NONNEGATIVE,)),
    # exp(-x) may underflow to zero, so it does not count as positive
    "decay": _operator("np.exp(-{})", lambda a: NONNEGATIVE, lambda a: np.exp(-a), operands=(4,), needs=(NONNEGATIVE,)),
    "log": _operator("np.log({})", lambda a: ANY, np.log, operands=(0,), needs=(POSITIVE,)),
    "where": _operator(
        "np.where({} > {}, {}, {})",
        lambda a, b, x, y: min(x, y),
        lambda a, b, x, y: np.where(a > b, x, y),
        operands=(0, 0, 0, 0),
    ),
    "mean": _reduction("{}.mean()", Sign, lambda a: a.mean(-1, keepdims=True)),
    "max": _reduction("{}.max()", Sign, lambda a: a.max(-1, keepdims=True)),
    "min": _reduction("{}.min()", Sign, lambda a: a.min(-1, keepdims=True)),
    "sum": _reduction("{}.sum()", Sign, lambda a: a.sum(-1, keepdims=True)),
    "std": _reduction("{}.std()", lambda a: NONNEGATIVE, lambda a: a.std(-1, keepdims=True)),
    "size": _reduction("{}.size", lambda a: POSITIVE, lambda a: float(a.shape[-1])),
}
"""Every operator. `decay` is exp(−x); `where` takes the four operands of `x if a > b else y`."""


def constant(value: float) -> Node:
    """The number `value`."""
    sign = POSITIVE if value > 0 else NONNEGATIVE if value == 0 else ANY
    return Node("constant", (), "", value + 0.0, False, sign, 1, 1)  # -0.0 + 0.0 is 0.0


def variable(argument: Argument) -> Node:
    """An argument of the entry function."""
    return Node("variable", (), argument.name, 0.0, argument.shape == "vector", Sign[argument.sign.upper()], 1, 1)


def make(op: str, *args: Node) -> Node:
    """Apply an operator; the sort is computed, not checked (code that was read may break a need)."""
    vector, size, depth = False, 1, 0
    for arg in args:
        vector |= arg.vector
        size += arg.size
        depth = max(depth, arg.depth)
    operator = OPERATORS[op]
    sign = operator.sign(*[arg.sign for arg in args])
    return Node(op, args, "", 0.0, vector and not operator.reduces, sign, size, depth + 1)


ZERO, ONE = constant(0.0), constant(1.0)


class Position(NamedTuple):
    """A place in a tree: the child numbers that lead there, what stands there, and the sign it must have."""

    path: tuple[int, ...]
    node: Node
    need: Sign


def positions(root: Node, path: tuple[int, ...] = (), need: Sign = ANY) -> Iterator[Position]:
    """Every place in a tree, parents first.

    What has at least the needed sign, and is a vector where a vector stands, can be put there: the result is
    as well-typed as the tree was, since every operator's sign grows with the signs of its operands.
    """
    yield Position(path, root, need)
    for number, arg in enumerate(root.args):
        needed = OPERATORS[root.op].needs[number]
        if need and not (root.op == "where" and number < 2):
            needed = max(needed, arg.sign)
        yield from positions(arg, (*path, number), needed)


def replace(root: Node, path: Sequence[int], new: Node) -> Node:
    """The tree with another subtree at `path`."""
    if not path:
        return new
    args = list(root.args)
    args[path[0]] = replace(args[path[0]], path[1:], new)
    return make(root.op, *args)


def transform_constants(root: Node, change: Callable[[float], float]) -> Node:
    """The tree with every constant changed, left to right."""
    if root.op == "constant":
        return constant(change(root.value))
    args = tuple(transform_constants(arg, change) for arg in root.args)
    return root if args == root.args else make(root.op, *args)


def evaluate(root: Node, arguments: Mapping[str, Array]) -> Array:
    """The value of a tree; vectors have the jobs along their last axis, numbers a last axis of length 1."""
    if root.op == "variable":
        return arguments[root.name]
    if root.op == "constant":
        return np.asarray(root.value)
    values = [evaluate(arg, arguments) for arg in root.args]
    result: Array = OPERATORS[root.op].compute(*values)
    return result


def round_constant(value: float) -> float:
    """`value` to the three significant digits with which constants are written."""
    return float(f"{value:.3g}")
