"""Heuristics that are the same but for the way they are written: recognised by their syntax, before anything runs."""

from __future__ import annotations

import ast
import builtins
import hashlib
from dataclasses import dataclass, field
from functools import cache, lru_cache

NAMED_IN: dict[type[ast.AST], str] = {
    ast.Name: "id",
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
    ast.alias: "asname",
    ast.Global: "names",
    ast.Nonlocal: "names",
}
"""The field that holds a node's own name, or several."""
KNOWN_OUTSIDE: dict[type[ast.AST], str] = {
    ast.Attribute: "attr",
    ast.keyword: "arg",
    ast.MatchClass: "kwd_attrs",
    ast.alias: "name",
}
"""The field that holds what others call something; a name that is also used so keeps its meaning only unchanged."""
SILENT: dict[type[ast.AST], tuple[str, ...]] = {
    ast.arg: ("annotation", "type_comment"),
    ast.FunctionDef: ("returns", "type_comment"),
    ast.AsyncFunctionDef: ("returns", "type_comment"),
    ast.Constant: ("kind",),
}
"""Fields that say nothing about what is done."""
READS_NAMES = frozenset(("locals", "globals", "vars", "dir", "eval", "exec", "compile", "inspect"))
"""What a file may use to look at its own names or text."""
NEVER_RENAMED = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Form:
    """A file without its style. `digest`: equal for equal forms; `size`: nodes of its syntax tree."""

    digest: str
    size: int


LONGEST = 1 << 16
"""Characters of a file that is looked at; longer ones are no heuristics, and would take seconds."""


@lru_cache(maxsize=512)
def form_of(source: str, kept: frozenset[str] = frozenset()) -> Form | None:
    """The normal form of a file; None for what is no Python, nested to no end, or longer than 64 K characters.

    Files have one form if they differ only in comments, layout, docstrings, annotations of functions, and the names
    they choose: those that a file binds are numbered in order of appearance. Not renamed are names in `kept` (the entry
    functions), those of built-ins, and those also used for attributes, keywords, modules or as texts. How a number is
    written (1e3, 1000.0) does not matter, whether it is whole (1, 1.0) does. Files of one form decide alike; files that
    decide alike may differ in form. A file that may look at its own names or text has a form of its own.
    """
    if len(source) > LONGEST:
        return None
    try:
        tree = ast.parse(source)
        writer = _Writer(set(kept))
        writer.write(tree)
        text = source if writer.looks_at_itself else writer.text()
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a null byte, a number without end
        return None
    return Form(hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32], writer.size)


@dataclass(slots=True)
class _Writer:
    """Writes a tree down in one pass, noting where names stand; they are numbered when all are known.

    `fixed`: names that are not to be renamed; more are found on the way.
    """

    fixed: set[str]
    size: int = 0
    looks_at_itself: bool = False
    _parts: list[str] = field(default_factory=list)
    _named: list[int] = field(default_factory=list)
    _bound: set[str] = field(default_factory=set)

    def write(self, node: ast.AST) -> None:
        """Add a node and all below it."""
        kind = type(node)
        self.size += 1
        self._parts.append(kind.__name__)
        if kind in KNOWN_OUTSIDE:
            self._fix(node, getattr(node, KNOWN_OUTSIDE[kind]))
        naming = NAMED_IN.get(kind)
        for name in _fields(kind):  # type: ignore[arg-type]  # a class can be hashed
            value = getattr(node, name)
            if name == naming:
                self._name(node, value)
            elif name == "body":
                self._value(_without_docstring(value))
            else:
                self._value(value)

    def text(self) -> str:
        """What was written, with the file's own names numbered."""
        numbers: dict[str, str] = {}
        for place in self._named:
            name = self._parts[place]
            if name in self._bound and not self._stays(name):
                self._parts[place] = numbers.setdefault(name, str(len(numbers)))
        return "\0".join(self._parts)

    def _value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.write(value)
        elif isinstance(value, list):
            self._parts.append("[")
            for each in value:
                self._value(each)
            self._parts.append("]")
        else:
            if isinstance(value, str):
                self.fixed.add(value)  # getattr may look for it
            self._parts.append(repr(value))  # which tells 1, 1.0, True and '1' apart

    def _name(self, node: ast.AST, value: str | list[str] | None) -> None:
        names = value if isinstance(value, list) else [] if value is None else [value]
        reads = isinstance(node, ast.Global | ast.Nonlocal) or (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        )
        for name in names:
            self._named.append(len(self._parts))
            self._parts.append(name)
            if not reads:
                self._bound.add(name)
            elif name in READS_NAMES:
                self.looks_at_itself = True
        self._parts.append(".")

    def _fix(self, node: ast.AST, value: str | list[str] | None) -> None:
        names = value if isinstance(value, list) else [] if value is None else [value]
        if isinstance(node, ast.alias):
            names = [] if node.asname else [node.name.partition(".")[0]]
        elif isinstance(node, ast.Attribute):
            self.looks_at_itself |= node.attr.startswith("__") and node.attr != "__init__"
        self.fixed.update(names)

    def _stays(self, name: str) -> bool:
        return name in self.fixed or name in NEVER_RENAMED or name.startswith("__")


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a node that say what is done; whether a name is read or bound shows from the rest."""
    silent = (*SILENT.get(kind, ()), "ctx", "type_ignores")
    return tuple(name for name in kind._fields if name not in silent)


def _without_docstring(body: object) -> object:
    """A body less the text it begins with, which is never anything but documentation."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body
