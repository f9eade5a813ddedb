"""The expression language of the genetic proposer: typed trees, simplified, read from and written as Python.

A tree stands for a NumPy expression over the arguments of an entry function. Its sort, computed bottom-up, is
a shape (one value per job, or one number) and a sign. Signs keep the language closed: a denominator must be
positive and a root or a decay nonnegative, so no guard against NaN or infinity is ever needed.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache, partial
from itertools import count
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


# --- making trees ------------------------------------------------------------------------------------------


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


GUARD = 1e-9
"""A floor this low under a value known to be positive only guards against zero, and is dropped."""


# --- simplification ----------------------------------------------------------------------------------------


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


# --- reading Python ----------------------------------------------------------------------------------------

MAX_READ = 300
"""Code that comes to more nodes than this, or goes deeper than `MAX_READ_DEPTH`, is not read."""
MAX_READ_DEPTH = 40


class _Unreadable(Exception):
    """The code is outside the language."""


def parse(source: str, function: str, arguments: Sequence[Argument]) -> Node | None:
    """The tree behind the function `function` of a Python file, or None if it is outside the language.

    The function may assign to names before its single return; what they stand for is put in their place. A
    divisor that is not provably positive is let through: who wrote it is trusted that far.
    """
    try:
        return _read_function(ast.parse(source), function, arguments)
    except (_Unreadable, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read_function(module: ast.Module, function: str, arguments: Sequence[Argument]) -> Node:
    reader = _Reader({})
    body: list[ast.stmt] | None = None
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            names = [arg.arg for arg in statement.args.args]
            reader.names |= dict(zip(names, map(variable, arguments), strict=True))
            body = statement.body
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and body is None:
            reader.assign(statement)
    *assignments, last = body or [ast.Pass()]
    for statement in assignments:
        reader.assign(statement)
    if not isinstance(last, ast.Return) or last.value is None:
        raise _Unreadable
    root = reader.read(last.value)
    if not root.vector:
        raise _Unreadable
    return root


class _Reader:
    """Turns Python expressions into trees; `names` holds what the names stand for."""

    def __init__(self, names: dict[str, Node]) -> None:
        self.names = names

    def assign(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                node = self.read(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                node = self.read(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                node = self.binary(op, self.read(ast.Name(name)), self.read(value))
            case ast.Expr(value=ast.Constant(value=str())):
                return
            case _:
                raise _Unreadable
        self.names[name] = node

    def read(self, expression: ast.expr) -> Node:
        node = self._read(expression)
        # bindings put in place can double the size line by line
        if node.size > MAX_READ or node.depth > MAX_READ_DEPTH:
            raise _Unreadable
        return node

    def _read(self, expression: ast.expr) -> Node:
        match expression:
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Constant(value=int() | float() as value) if type(value) is not bool and abs(value) < 1e300:
                return constant(float(value))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                node = self.read(operand)
                return constant(-node.value) if isinstance(operand, ast.Constant) else make("neg", node)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.read(left), self.read(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _compare(op, self.read(left), self.read(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                if not (condition := self.read(test)).vector:
                    return _choose(condition, self.read(body), self.read(orelse))
            case (
                ast.Attribute(value=vector, attr="size")
                | ast.Subscript(value=ast.Attribute(value=vector, attr="shape"), slice=ast.Constant(value=0))
            ):
                return _reduce("size", self.read(vector))
            case ast.Call(func=function, args=args, keywords=keywords):
                return self.call(function, args, keywords)
        raise _Unreadable

    def binary(self, op: ast.operator, left: Node, right: Node) -> Node:
        if isinstance(op, ast.Pow):
            return _power(left, right)
        name = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}.get(type(op))
        if name is None:
            raise _Unreadable
        return make(name, left, right)

    def call(self, function: ast.expr, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> Node:
        """A call of NumPy, of a method of an array, or of a built-in function."""
        match function:
            case ast.Attribute(value=ast.Name(id="np" | "numpy" | "math"), attr=name) | ast.Name(id=name):
                pass
            case ast.Attribute(value=array, attr=name):
                args = [array, *args]
            case _:
                raise _Unreadable
        if name in ("asarray", "array", "astype", "copy", "float") and args:
            return self.read(args[0])
        if name == "exp" and len(args) == 1:
            return make("decay", self._negated(args[0]))
        if name == "clip" and len(args) == 3:
            return self._clipped(*args)
        if keywords or (build := _CALLS.get((name, len(args)))) is None:
            raise _Unreadable
        return build(*map(self.read, args))

    def _clipped(self, value: ast.expr, *limits: ast.expr) -> Node:
        node = self.read(value)
        for op, limit in zip(("maximum", "minimum"), limits, strict=True):
            if not (isinstance(limit, ast.Constant) and limit.value is None):
                node = make(op, node, self.read(limit))
        return node

    def _negated(self, expression: ast.expr) -> Node:
        """Minus an expression, without a sign where it starts with one: `-x`, `-x / k`, `-2 * x`, `a - b`."""
        match expression:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.read(operand)
            case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
                return self.binary(op, self._negated(left), self.read(right))
            case ast.BinOp(left=left, op=ast.Sub() as op, right=right):
                return self.binary(op, self.read(right), self.read(left))
        node = self.read(expression)
        return node.args[0] if node.op == "neg" else make("neg", node)


def _reduce(op: str, arg: Node) -> Node:
    if not arg.vector:
        raise _Unreadable
    return make(op, arg)


def _of_numbers(op: str, *args: Node) -> Node:
    """An operator that Python applies to numbers only."""
    if any(arg.vector for arg in args):
        raise _Unreadable
    return make(op, *args)


def _power(base: Node, exponent: Node) -> Node:
    match exponent:
        case Node(op="constant", value=2.0):
            return make("square", base)
        case Node(op="constant", value=3.0):
            return make("mul", make("square", base), base)
        case Node(op="constant", value=0.5):
            return make("sqrt", base)
    raise _Unreadable


def _compare(op: ast.cmpop, left: Node, right: Node) -> Node:
    """A comparison as the number 1 where it holds and 0 where not."""
    match op:
        case ast.Gt():
            return make("where", left, right, ONE, ZERO)
        case ast.Lt():
            return make("where", right, left, ONE, ZERO)
        case ast.GtE():
            return make("where", right, left, ZERO, ONE)
        case ast.LtE():
            return make("where", left, right, ZERO, ONE)
    raise _Unreadable


def _choose(test: Node, then: Node, otherwise: Node) -> Node:
    match test:
        case Node(op="where", args=(a, b, Node(value=1.0), Node(value=0.0))):
            return make("where", a, b, then, otherwise)
        case Node(op="where", args=(a, b, Node(value=0.0), Node(value=1.0))):
            return make("where", a, b, otherwise, then)
    raise _Unreadable


_CALLS: Mapping[tuple[str, int], Callable[..., Node]] = {
    **{(op, 1): partial(_reduce, op) for op in ("mean", "max", "min", "sum", "std")},
    **{(op, 1): partial(make, op) for op in ("abs", "sqrt", "square", "log")},
    **{(op, 2): partial(make, op) for op in ("maximum", "minimum")},
    ("amax", 1): partial(_reduce, "max"),
    ("amin", 1): partial(_reduce, "min"),
    ("len", 1): partial(_reduce, "size"),
    ("absolute", 1): partial(make, "abs"),
    ("max", 2): partial(_of_numbers, "maximum"),
    ("min", 2): partial(_of_numbers, "minimum"),
    ("power", 2): _power,
    ("where", 3): _choose,
}
"""What a call of a name with so many arguments stands for."""


# --- writing Python ----------------------------------------------------------------------------------------

WIDTH = 72
"""An expression longer than this is broken up by giving names to its parts."""

_NAMES = {
    "add": "total",
    "sub": "margin",
    "mul": "product",
    "div": "ratio",
    "neg": "opposite",
    "square": "squared",
    "maximum": "larger",
    "minimum": "smaller",
    "abs": "distance",
    "sqrt": "root",
    "log": "log",
    "decay": "decay",
    "where": "choice",
    "mean": "average",
    "max": "largest",
    "min": "smallest",
    "sum": "whole",
    "std": "spread",
}


def render(root: Node, taken: Iterable[str] = ()) -> list[str]:
    """The body of a function that returns a tree: assignments to names that are not `taken`, and the return.

    What is used twice gets a name, and so do parts of a long expression. `parse` gives the same tree again if
    the tree is tidy.
    """
    writer = _Writer(root, {"np", *taken})
    return [*writer.lines, f"return {writer.result}"]


class _Writer:
    """Writes a tree; `lines` are the assignments needed before `result`."""

    def __init__(self, root: Node, taken: set[str]) -> None:
        self.lines: list[str] = []
        self._taken = taken
        self._names: dict[Node, str] = {}
        self._uses: dict[Node, int] = {}
        self._count(root)
        self._name_shared(root)
        self.result = self._fitted(root)

    def _count(self, node: Node) -> None:
        """How often each subtree is used, by different others."""
        for arg in node.args:
            self._uses[arg] = self._uses.get(arg, 0) + 1
            if self._uses[arg] == 1:
                self._count(arg)

    def _name_shared(self, node: Node) -> None:
        if node.args and node not in self._names:
            for arg in node.args:
                self._name_shared(arg)
            if self._uses.get(node, 0) > 1:
                self._bind(node)

    def _bind(self, node: Node) -> None:
        text = self._fitted(node)
        self._names[node] = name = self._new_name(node)
        self.lines.append(f"{name} = {text}")

    def _fitted(self, node: Node) -> str:
        """The text of a node, made to fit by naming its longest parts that do."""
        while len(text := self._text(node)) > WIDTH:
            part = node
            while len(self._text(part)) > WIDTH:
                parts = [arg for arg in part.args if arg.args and arg not in self._names]
                part = max(parts, key=lambda arg: len(self._text(arg)))
            self._bind(part)
        return text

    def _new_name(self, node: Node) -> str:
        name = _NAMES.get(node.op, node.op)
        if OPERATORS[node.op].reduces and (arg := self._text(node.args[0])).isidentifier():
            name = f"{arg}_{node.op}"
        if name in self._taken:
            name = next(numbered for n in count(2) if (numbered := f"{name}_{n}") not in self._taken)
        self._taken.add(name)
        return name

    def _text(self, node: Node, binding: int = 0) -> str:
        """The text of a node, in parentheses if it binds less than `binding`."""
        if node in self._names:
            return self._names[node]
        if node.op == "variable":
            return node.name
        if node.op == "constant":
            text, own = _number(node.value), 5 if node.value >= 0 else 3
        else:
            operator = OPERATORS[node.op]
            text = operator.text.format(*map(self._text, node.args, operator.operands))
            own = operator.binding
        return text if own >= binding else f"({text})"


def _number(value: float) -> str:
    """Three significant digits, as a person would write them: 1200, 0.25, 1e-05."""
    value = round_constant(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


# --- growing at random -------------------------------------------------------------------------------------


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
    """Grows random trees over the arguments of an entry function, of which at least one is a vector."""

    def __init__(self, arguments: Sequence[Argument], rng: random.Random) -> None:
        self._arguments = [variable(argument) for argument in arguments]
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
