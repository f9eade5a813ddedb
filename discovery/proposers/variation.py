"""The operators of the genetic proposer: expressions made new, changed, crossed and tuned."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from discovery.proposers.expressions import (
    ANY,
    NONNEGATIVE,
    ONE,
    OPERATORS,
    POSITIVE,
    Grower,
    Node,
    Position,
    Sign,
    constant,
    evaluate,
    leaves,
    lifted,
    make,
    positions,
    replace,
    tidy,
)
from problems.base import Argument, Array, Record

T = TypeVar("T")

MAX_SIZE = 60
MAX_DEPTH = 14
"""No larger expression is proposed. (MDDC, a rule an LLM found, has size 38 and depth 11.)"""

ATTEMPTS = 8
"""How often a change that makes no difference, or too large an expression, is tried again."""

SITUATIONS = 128
JOBS = 8
"""How many made-up situations, of how many jobs each, tell expressions apart."""

PEERS = (
    ("add", "sub", "mul", "div", "maximum", "minimum"),
    ("square", "sqrt", "abs", "decay", "log"),
    ("mean", "max", "min", "sum", "std"),
)
"""Operators that can take each other's place."""


class Behaviour:
    """What an expression does in made-up situations: which job it picks in each."""

    def __init__(self, arguments: Sequence[Argument | Record]) -> None:
        rng = np.random.default_rng(0)
        self._situations: dict[str, Array] = {}
        for leaf in leaves(arguments):
            scale = 10 ** rng.uniform(0, 2, (SITUATIONS, 1))
            values = scale * rng.uniform(0.02, 1, (SITUATIONS, JOBS if leaf.shape == "vector" else 1))
            if leaf.sign == "any":
                values *= rng.choice((-1, 1), values.shape)
            self._situations[leaf.name] = values
        self.of = lru_cache(maxsize=1000)(self._of)

    def _of(self, expression: Node) -> bytes:
        """The number of the job picked in every situation."""
        with np.errstate(all="ignore"):
            scores = evaluate(expression, self._situations)
        picked: bytes = scores.argmin(axis=1).tobytes()
        return picked


class Variation:
    """The operators on expressions; every result is tidy, a vector, and no larger than allowed."""

    def __init__(self, grower: Grower, rng: random.Random, behaviour: Behaviour) -> None:
        self._grow = grower
        self._rng = rng
        self._behaviour = behaviour

    def create(self) -> Node:
        """A new expression: a sum, the larger of two sums, or anything; perhaps corrected."""
        return self._settle(self._create)

    def mutate(self, root: Node) -> Node:
        """The expression with one change to its structure."""
        changes = {self._correct: 6.0, self._regrow: 2.0, self._exchange: 0.7, self._hoist: 0.7}
        return self._settle(lambda: self._pick(changes)(root), root)

    def crossover(self, first: Node, second: Node) -> Node:
        """The first expression with a part of the second, or both joined."""
        return self._settle(lambda: self._cross(first, second), first, second)

    def tune(self, root: Node) -> Node:
        """The expression with other constants; where it has none, with a factor."""
        return self._settle(lambda: self._tune(root), root)

    def _settle(self, change: Callable[[], Node], *parents: Node) -> Node:
        """The first result of a change that is fit to be proposed and, if there is one, behaves in a new way."""
        known = {self._behaviour.of(node) for node in (*parents, *self._grow.vectors)}
        fallback = None
        for _ in range(ATTEMPTS):
            new = tidy(ranking(tidy(change())))
            if new.vector and new.size <= MAX_SIZE and new.depth <= MAX_DEPTH and new not in parents:
                if self._behaviour.of(new) not in known:
                    return new
                fallback = new
        return fallback or self._grow.argument()

    def _pick(self, weights: Mapping[T, float]) -> T:
        return self._rng.choices(list(weights), weights=list(weights.values()))[0]

    # growing

    def _create(self) -> Node:
        kind = self._rng.random()
        if kind < 0.3:
            root = self._sum()
        elif kind < 0.65:
            root = make("maximum", self._sum(), self._sum())
        else:
            root = self._grow.tree(self._rng.randint(2, 4))
        for _ in range(self._rng.choice((0, 0, 1, 2))):
            root = self._corrected(root, ANY)
        return root

    def _sum(self) -> Node:
        """A few arguments added or subtracted, some with a factor."""
        total = self._weighted(self._grow.argument())
        for _ in range(self._rng.randint(0, 2)):
            op = self._rng.choice(("add", "sub"))
            total = make(op, total, self._weighted(self._grow.argument(vector=False)))
        return total

    def _weighted(self, node: Node) -> Node:
        return make("mul", self._grow.constant(), node) if self._rng.random() < 0.25 else node

    def _ratio(self) -> Node:
        """A pure number: one thing over another."""
        return make("div", self._quantity(NONNEGATIVE), self._quantity(POSITIVE))

    def _quantity(self, need: Sign) -> Node:
        if self._rng.random() < 0.6:
            return self._grow.reduction(need)
        return self._grow.argument(need, vector=False)

    # mutation

    def _correct(self, root: Node) -> Node:
        """A correction of the whole or of a part."""
        places = list(positions(root))
        path, node, need = places[0] if self._rng.random() < 0.4 else self._rng.choice(places)
        return replace(root, path, self._corrected(node, need))

    def _corrected(self, node: Node, need: Sign) -> Node:
        """The node with a term added, with a factor near one or another factor, or limited."""
        kind = self._pick({"term": 4.0, "near one": 2.5, "scale": 2.5, "limit": 1.0})
        op = "add" if need or self._rng.random() < 0.5 else "sub"
        if kind == "term":
            return make(op, node, self._term())
        if kind == "near one":
            return make("mul", node, make(op, ONE, make("mul", self._grow.constant(), self._ratio())))
        if kind == "scale":
            return make("mul", make("mul", self._grow.constant(), lifted(self._ratio(), need)), node)
        return make(self._rng.choice(("maximum", "minimum")), node, lifted(self._sum(), need))

    def _term(self) -> Node:
        """An argument times up to two ratios: whatever the ratios, a quantity of the argument's kind."""
        term = self._grow.argument(NONNEGATIVE)
        for _ in range(self._rng.choice((0, 1, 1, 2))):
            term = make("mul", term, self._ratio())
        return make("mul", self._grow.constant(), term)

    def _regrow(self, root: Node) -> Node:
        """Another subtree somewhere."""
        path, node, need = self._rng.choice(list(positions(root)))
        return replace(root, path, self._grow.tree(self._rng.randint(1, 3), need, vector=node.vector))

    def _exchange(self, root: Node) -> Node:
        """Another operator, argument or constant somewhere."""
        path, node, need = self._rng.choice(list(positions(root)))
        if not node.args:
            return replace(root, path, self._grow.leaf(need, vector=node.vector))
        peers = next((peers for peers in PEERS if node.op in peers), ())
        fitting = [op for op in peers if op != node.op and _fits(make(op, *node.args), need)]
        return replace(root, path, make(self._rng.choice(fitting), *node.args)) if fitting else root

    def _hoist(self, root: Node) -> Node:
        """A part in place of what it is part of."""
        place = self._rng.choice(list(positions(root)))
        return self._put_part(root, place, place.node)

    def _put_part(self, root: Node, place: Position, donor: Node) -> Node:
        """A fitting part of `donor` at a place of the tree; the tree itself if there is none."""
        path, old, need = place
        parts = [part for _, part, _ in positions(donor) if part.sign >= need and part.vector >= old.vector]
        return replace(root, path, self._rng.choice(parts)) if parts else root

    # crossover and tuning

    def _cross(self, first: Node, second: Node) -> Node:
        if self._rng.random() < 0.7:
            return self._put_part(first, self._rng.choice(list(positions(first))), second)
        op = self._rng.choice(("add", "add", "maximum", "minimum", "where"))
        if op == "add":
            return make("add", first, make("mul", self._grow.constant(), second))
        if op == "where":
            return make("where", self._sum(), self._grow.leaf(vector=False), first, second)
        return make(op, first, second)

    def _tune(self, root: Node) -> Node:
        """One constant or all of them changed, or a factor put where none was."""
        places = list(positions(root))
        constants = [place for place in places if place.node.op == "constant" and place.node.value]
        width = self._rng.choice((0.1, 0.3, 0.8))
        if not constants or self._rng.random() < 0.25:
            path, node, _ = self._rng.choice([place for place in places if place.node.op != "constant"])
            return replace(root, path, make("mul", constant(self._rng.lognormvariate(0, width)), node))
        for path, node, _ in constants if self._rng.random() < 0.25 else [self._rng.choice(constants)]:
            root = replace(root, path, constant(node.value * self._rng.lognormvariate(0, width)))
        return root


def _fits(node: Node, need: Sign) -> bool:
    """Whether a node may stand where `need` is needed, its own operands being what it needs."""
    needs = OPERATORS[node.op].needs
    return node.sign >= need and all(arg.sign >= least for arg, least in zip(node.args, needs, strict=True))


def ranking(root: Node) -> Node:
    """A simpler expression that ranks as `root` does: without what shifts or scales all scores alike."""
    bare = _unshifted(_unscaled(root))
    if bare.op in ("sqrt", "log") or (bare.op == "square" and bare.args[0].sign):
        bare = bare.args[0]
    return bare if bare == root else ranking(bare)


def _unshifted(node: Node) -> Node:
    """A sum without its numbers."""
    if node.op not in ("add", "sub") or not node.vector:
        return node
    left, right = node.args
    if not left.vector:
        return right if node.op == "add" else make("neg", right)
    return make(node.op, _unshifted(left), right) if right.vector else _unshifted(left)


def _unscaled(node: Node) -> Node:
    """A product without its positive numbers."""
    if node.op not in ("mul", "div") or not node.vector:
        return node
    left, right = node.args
    if not right.vector and right.sign is POSITIVE:
        return _unscaled(left)
    if not left.vector:
        return right if node.op == "mul" and left.sign is POSITIVE else node
    return make(node.op, _unscaled(left), right)
