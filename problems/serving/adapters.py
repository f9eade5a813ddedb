"""Adapters: winners of the other problems become policies, so that any discovered heuristic can serve requests.

    source = adapt("smtt_dispatch", Path("winner.py").read_text())

The result is a policy file like any other: the heuristic as it is, then the function that shows it waiting requests as
the things its own problem is about. What stands for what is said in `wrappers`, one file for each problem.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.resources import files

from engine_bridge.policy import CORE, EXTENSIONS

ENTRIES: Mapping[str, tuple[str, str]] = {
    "smtt_dispatch": ("smtt_dispatch", "priority"),
    "batch_order": ("batch_order", "priority"),
    "batch_order_makespan": ("batch_order", "priority"),
    "batch_order_late": ("batch_order", "priority"),
    "kv_admission": ("kv_admission", "admit_priority"),
    "prefix_group": ("prefix_group", "join_score"),
}
"""For each problem: the wrapper, and the function it calls."""


class NotAdaptable(ValueError):
    """A heuristic cannot be made a policy; the message says why, and what can."""


def adapt(problem: str, source: str) -> str:
    """The policy file that the heuristic `source` of `problem` becomes; a serving policy stays as it is.

    Raises:
        NotAdaptable: there is no adapter for the problem, the file does not define its function, or it defines
            one of a policy's.
    """
    if problem.startswith("serving"):
        return source
    if problem not in ENTRIES:
        raise NotAdaptable(f"there is no adapter for '{problem}'; there are some for {', '.join(ENTRIES)}")
    wrapper, function = ENTRIES[problem]
    names = _defined(source)
    if function not in names:
        raise NotAdaptable(f"the heuristic does not define '{function}', the function of {problem}")
    if taken := names & {*CORE, *EXTENSIONS}:
        raise NotAdaptable(f"the heuristic defines '{min(taken)}', which is a policy's; give it another name")
    text = files("problems.serving.wrappers").joinpath(f"{wrapper}.py").read_text(encoding="utf-8")
    return (
        f"{source.rstrip()}\n\n\n# What follows makes a policy of the heuristic for {problem} above.\n{_comment(text)}"
    )


def _defined(source: str) -> set[str]:
    """Names that a file binds at its top level by a definition, an assignment or an import."""
    names: set[str] = set()
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError) as error:
        raise NotAdaptable(f"the heuristic is no Python: {error}") from None
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= {each.asname or each.name for each in statement.names}
        else:
            names |= {
                node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and type(node.ctx) is ast.Store
            }
    return names


def _comment(text: str) -> str:
    """A file with its docstring as comments: in the middle of another it would be a text that does nothing."""
    docstring = ast.parse(text).body[0]
    lines = text.splitlines()
    said = [f"# {line}".rstrip() for line in lines[: docstring.end_lineno]]
    said[0] = said[0].replace('"""', "", 1)
    return "\n".join([*said[:-1], *lines[docstring.end_lineno :]]) + "\n"
