"""Reading: the tree behind a function written in Python, if it is within the language."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from discovery.proposers.expressions.leaves import leaves
from discovery.proposers.expressions.tree import ONE, ZERO, Node, constant, make, variable
from problems.base import Argument, Record

MAX_READ = 300
"""Code that comes to more nodes than this, or goes deeper than `MAX_READ_DEPTH`, is not read."""
MAX_READ_DEPTH = 40


class _Unreadable(Exception):
    """The code is outside the language."""


def parse(source: str, function: str, arguments: Sequence[Argument | Record]) -> Node | None:
    """The tree behind the function `function` of a Python file, or None if it is outside the language.

    The function may assign to names before its single return; what they stand for is put in their place. A
    divisor that is not provably positive is let through: who wrote it is trusted that far.
    """
    try:
        return _read_function(ast.parse(source), function, arguments)
    except (_Unreadable, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read_function(module: ast.Module, function: str, arguments: Sequence[Argument | Record]) -> Node:
    reader = _Reader({})
    body: list[ast.stmt] | None = None
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            reader.names |= _bound(statement.args, arguments)
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


def _bound(parameters: ast.arguments, arguments: Sequence[Argument | Record]) -> dict[str, Node]:
    """What a function's parameters, and the fields of those that are records, stand for, by the names it uses."""
    names = [argument.name for argument in arguments]
    own = dict(zip(names, [parameter.arg for parameter in parameters.args], strict=True))
    bound = {}
    for leaf in leaves(arguments):
        name, dot, field = leaf.name.partition(".")
        bound[own[name] + dot + field] = variable(leaf)
    return bound


class _Reader:
    """Turns Python expressions into trees; `names` holds what names, and fields as `record.field`, stand for."""

    def __init__(self, names: dict[str, Node]) -> None:
        self.names = names

    def assign(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                nodes = [self.read(value) for value in values]  # all before any name changes
                for target, node in zip(targets, nodes, strict=True):
                    self._name(target, node)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                self._name(target, self.read(value))
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                self._name(target, self.binary(op, self.read(ast.Name(name)), self.read(value)))
            case ast.Expr(value=ast.Constant(value=str())):
                return
            case _:
                raise _Unreadable

    def _name(self, target: ast.expr, node: Node) -> None:
        if not isinstance(target, ast.Name):
            raise _Unreadable
        if any(known.startswith(f"{target.id}.") for known in self.names):
            raise _Unreadable  # a record's name given to something else
        self.names[target.id] = node

    def read(self, expression: ast.expr) -> Node:
        node = self._read(expression)
        # bindings put in place can double the size line by line
        if node.size > MAX_READ or node.depth > MAX_READ_DEPTH:
            raise _Unreadable
        return node

    def _read(self, expression: ast.expr) -> Node:
        match expression:
            case ast.Name() | ast.Attribute() if (name := _dotted(expression)) in self.names:
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


def _dotted(expression: ast.expr) -> str:
    """A name, or a name and an attribute as `record.field`; empty for anything else."""
    match expression:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=record), attr=field):
            return f"{record}.{field}"
    return ""


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
