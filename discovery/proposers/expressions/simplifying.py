"""Simplification: an equivalent tree that reads better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from discovery.proposers.expressions.tree import (
    ONE,
    OPERATORS,
    POSITIVE,
    ZERO,
    Node,
    constant,
    make,
    positions,
    round_constant,
    transform_constants,
)

GUARD = 1e-9
"""A floor this low under a value known to be positive only guards against zero, and is dropped."""


def tidy(root: Node) -> Node:
    """The tree as it will be written: simplified, constants rounded."""
    for _ in range(2):  # rounding can make a factor 1 and so allow more
        root = transform_constants(simplify(root), round_constant)
    return root


@lru_cache(maxsize=10_000)
def simplify(root: Node) -> Node:
    """An equivalent tree that reads better: constants folded, like terms joined, no-ops dropped."""
    if not root.args:
        return root
    args = [simplify(arg) for arg in root.args]
    if OPERATORS[root.op].reduces:
        return _simplify_reduction(root, args[0])
    if all(arg.op == "constant" for arg in args) and (value := _fold(root.op, args)) is not None:
        return constant(value)
    return _RULES[root.op](make(root.op, *args))


def _fold(op: str, args: Sequence[Node]) -> float | None:
    try:
        with np.errstate(all="ignore"):
            value = float(OPERATORS[op].compute(*(arg.value for arg in args)))
    except ArithmeticError:
        return None
    return value if math.isfinite(value) else None


def _simplify_reduction(root: Node, arg: Node) -> Node:
    if root.op == "size":
        return make("size", next(node for _, node, _ in positions(root) if node.vector and not node.args))
    if arg.vector:
        return make(root.op, arg)
    return {"std": ZERO, "sum": root}.get(root.op, arg)


def _simplify_sum(root: Node) -> Node:
    """Join like terms; positive terms before negative ones, a positive constant first, a negative one last."""
    terms: dict[Node, float] = {}
    _collect_terms(root, 1.0, terms)
    if not all(map(math.isfinite, terms.values())):
        return root
    offset = terms.pop(ONE, 0.0)
    signed = [(term, weight) for term, weight in terms.items() if abs(weight) > 1e-12]
    signed.sort(key=lambda item: item[1] < 0)
    if abs(offset) > 1e-12 or not signed:
        signed.insert(0 if offset > 0 else len(signed), (ONE, offset))
    (term, weight), *rest = signed
    total = _scaled(term, weight)
    for term, weight in rest:
        total = make("sub" if weight < 0 else "add", total, _scaled(term, abs(weight)))
    return total


def _collect_terms(node: Node, weight: float, terms: dict[Node, float]) -> None:
    if node.op in ("add", "sub"):
        _collect_terms(node.args[0], weight, terms)
        _collect_terms(node.args[1], -weight if node.op == "sub" else weight, terms)
    elif node.op == "neg":
        _collect_terms(node.args[0], -weight, terms)
    else:
        factor, term = _split_factor(node)
        terms[term] = terms.get(term, 0.0) + weight * factor


def _split_factor(node: Node) -> tuple[float, Node]:
    """The constant factor of a simplified product, which stands first in it, and the product without it."""
    if node.op == "constant":
        return node.value, ONE
    if node.op == "mul" and node.args[0].op == "constant":
        return node.args[0].value, node.args[1]
    if node.op in ("mul", "div"):
        factor, left = _split_factor(node.args[0])
        if factor != 1.0:
            return factor, make(node.op, left, node.args[1])
    return 1.0, node


def _scaled(term: Node, factor: float) -> Node:
    """The product of a constant and a simplified term, with the constant in front."""
    if term == ONE:
        return constant(factor)
    if factor == 1.0:
        return term
    if factor == -1.0:
        return make("neg", term)
    if term.op in ("mul", "div"):
        return make(term.op, _scaled(term.args[0], factor), term.args[1])
    return make("mul", constant(factor), term)


def _simplify_product(root: Node) -> Node:
    """Cancel, gather the constants in front, write x·x as a square and all divisors as one."""
    above: list[Node] = []
    below: list[Node] = []
    factor = _collect_factors(root, above, below)
    if factor == 0.0 or not math.isfinite(factor):
        return root if factor else ZERO
    for node in list(below):
        if node.sign is POSITIVE and node in above:
            above.remove(node)
            below.remove(node)
    product = _product(above)
    if below:
        product = make("div", product, _product(below))
    return _simplify_sum(make("neg", product)) if factor == -1.0 else _scaled(product, factor)


def _collect_factors(node: Node, above: list[Node], below: list[Node]) -> float:
    """Spread the factors of a product over the two sides of a fraction and return the constant one."""
    if node.op == "mul":
        return _collect_factors(node.args[0], above, below) * _collect_factors(node.args[1], above, below)
    if node.op == "div":
        divisor = _collect_factors(node.args[1], below, above)
        factor = _collect_factors(node.args[0], above, below)
        if divisor:
            return factor / divisor
        below.append(ZERO)
        return factor
    if node.op == "neg":
        return -_collect_factors(node.args[0], above, below)
    if node.op == "constant":
        return node.value
    above.extend(node.args * 2 if node.op == "square" else (node,))
    return 1.0


def _product(factors: Sequence[Node]) -> Node:
    counts: dict[Node, int] = {}
    for node in factors:
        counts[node] = counts.get(node, 0) + 1
    powers = [_simplify_square(make("square", node)) for node, times in counts.items() for _ in range(times // 2)]
    powers += [node for node, times in counts.items() if times % 2]
    product = powers[0] if powers else ONE
    for node in powers[1:]:
        product = make("mul", product, node)
    return product


def _simplify_square(root: Node) -> Node:
    (arg,) = root.args
    if arg.op in ("abs", "neg"):
        return make("square", *arg.args)
    return arg.args[0] if arg.op == "sqrt" else root


def _simplify_abs(root: Node) -> Node:
    (arg,) = root.args
    if arg.op == "neg":
        arg = arg.args[0]
    return arg if arg.sign else make("abs", arg)


def _simplify_sqrt(root: Node) -> Node:
    (arg,) = root.args
    return _simplify_abs(make("abs", *arg.args)) if arg.op == "square" else root


def _simplify_extreme(root: Node) -> Node:
    """Maximum and minimum: constants last and at most one, nothing that cannot matter."""
    a, b = root.args
    if a.op == "constant":
        a, b = b, a
    if a == b or (a.op == root.op and b in a.args):
        return a
    if b.op == root.op and a in b.args:
        return b
    if b.op == "constant" and a.sign and b.value <= (GUARD if a.sign is POSITIVE else 0.0):
        return a if root.op == "maximum" else b
    if b.op == "constant" and a.op == root.op and a.args[1].op == "constant":
        pick = max if root.op == "maximum" else min
        return make(root.op, a.args[0], constant(pick(b.value, a.args[1].value)))
    return make(root.op, a, b)


def _simplify_where(root: Node) -> Node:
    a, b, x, y = root.args
    if x == y or a == b:
        return y
    if a.op == b.op == "constant":
        return x if a.value > b.value else y
    if {a, b} == {x, y}:
        return _simplify_extreme(make("maximum" if a == x else "minimum", a, b))
    return root


_RULES: Mapping[str, Callable[[Node], Node]] = {
    **dict.fromkeys(("add", "sub", "neg"), _simplify_sum),
    **dict.fromkeys(("mul", "div"), _simplify_product),
    **dict.fromkeys(("maximum", "minimum"), _simplify_extreme),
    "square": _simplify_square,
    "abs": _simplify_abs,
    "sqrt": _simplify_sqrt,
    **dict.fromkeys(("decay", "log"), lambda root: root),
    "where": _simplify_where,
}
