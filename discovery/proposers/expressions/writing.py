"""Writing: a tree as the body of a Python function, fit to be read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from discovery.proposers.expressions.tree import OPERATORS, Node, round_constant

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
            while len(self._text(part)) > WIDTH and (parts := self._nameable(part)):
                part = max(parts, key=lambda arg: len(self._text(arg)))
            if part is node:
                break
            self._bind(part)
        return text

    def _nameable(self, node: Node) -> list[Node]:
        """The operands for which a name would be shorter: expressions, and fields of records."""
        return [arg for arg in node.args if (arg.args or "." in arg.name) and arg not in self._names]

    def _new_name(self, node: Node) -> str:
        name = _field(node.name) or _NAMES.get(node.op, node.op)
        if node.args and OPERATORS[node.op].reduces:
            (arg,) = node.args
            if (operand := _field(arg.name) or self._text(arg)).isidentifier():
                name = f"{operand}_{node.op}"
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


def _field(name: str) -> str:
    """What a variable is called within its record; the other nodes have no name."""
    return name.rpartition(".")[2]


def _number(value: float) -> str:
    """Three significant digits, as a person would write them: 1200, 0.25, 1e-05."""
    value = round_constant(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"
