"""Growing: random trees of a wanted shape and sign."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from discovery.proposers.expressions.leaves import leaves
from discovery.proposers.expressions.tree import (
    ANY,
    NONNEGATIVE,
    ONE,
    OPERATORS,
    POSITIVE,
    Node,
    Sign,
    constant,
    make,
    variable,
)
from problems.base import Argument, Record

_GROWTH: Mapping[str, float] = {
    "add": 6,
    "sub": 5,
    "scale": 4,
    "mul": 2,
    "div": 5,
    "maximum": 4,
    "minimum": 3,
    "where": 1,
    "square": 1,
    "sqrt": 1,
    "abs": 1,
    "decay": 1,
    "log": 1,
}
"""How often each operator is drawn; `scale` is the product with a constant."""

_REDUCTIONS: Mapping[str, float] = {"mean": 3, "max": 2, "min": 2, "sum": 2, "std": 3, "size": 1}


def operand_needs(op: str, need: Sign) -> tuple[Sign, ...] | None:
    """Signs of the operands that give an operator's result the sign `need`; None if there are none."""
    match op:
        case "sub" | "log" | "neg":
            return None if need else OPERATORS[op].needs
        case "decay":
            return None if need is POSITIVE else OPERATORS[op].needs
        case "add":
            return need, min(need, NONNEGATIVE)
        case "maximum":
            return need, ANY
        case "where":
            return ANY, ANY, need, need
        case "abs" | "square":
            return (need if need is POSITIVE else ANY,)
        case "std":
            return None if need is POSITIVE else (ANY,)
    return tuple(max(need, least) for least in OPERATORS[op].needs)


def lifted(node: Node, need: Sign) -> Node:
    """The node, or 1 + |node| or |node| where that is needed."""
    if node.sign >= need:
        return node
    size = node if node.sign else make("abs", node)
    return size if need is NONNEGATIVE else make("add", ONE, size)


class Grower:
    """Grows random trees over the leaves that an entry function's arguments give, of which one must be a vector."""

    def __init__(self, arguments: Sequence[Argument | Record], rng: random.Random) -> None:
        self._arguments = [variable(leaf) for leaf in leaves(arguments)]
        self.vectors = [node for node in self._arguments if node.vector]
        self._rng = rng

    def tree(self, levels: int, need: Sign = ANY, *, vector: bool = True) -> Node:
        """A tree of at most about `levels` levels with at least the sign `need`; a vector if asked for."""
        if levels <= 1:
            return self.leaf(need, vector=vector)
        op = self._draw(_GROWTH)
        if op == "scale":
            return make("mul", self.constant(), self.tree(levels - 1, need, vector=vector))
        if (needs := operand_needs(op, need)) is None:
            return self.tree(levels, need, vector=vector)
        chosen = self._rng.randrange(2 if op == "where" else 0, len(needs)) if vector else -1
        return make(
            op,
            *(
                self.tree(self._rng.randint(1, levels - 1), least, vector=number == chosen)
                for number, least in enumerate(needs)
            ),
        )

    def leaf(self, need: Sign = ANY, *, vector: bool = True) -> Node:
        """An argument, or if it need not be a vector perhaps a mean, maximum … of one, or a constant."""
        kind = 1.0 if vector else self._rng.random()
        if kind < 0.15:
            return self.constant()
        if kind < 0.5:
            return self.reduction(need)
        return self.argument(need, vector=vector)

    def argument(self, need: Sign = ANY, *, vector: bool = True) -> Node:
        """An argument, lifted if its own sign is not enough."""
        return lifted(self._rng.choice(self.vectors if vector else self._arguments), need)

    def reduction(self, need: Sign = ANY) -> Node:
        """The mean, maximum … of a vector argument, lifted if its own sign is not enough."""
        return lifted(make(self._draw(_REDUCTIONS), self.argument()), need)

    def constant(self) -> Node:
        """A number from .01 to 10, with two digits."""
        return constant(float(f"{10 ** self._rng.uniform(-2, 1):.2g}"))

    def _draw(self, weights: Mapping[str, float]) -> str:
        return self._rng.choices(list(weights), weights=list(weights.values()))[0]
