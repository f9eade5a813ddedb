"""The command export: a heuristic as a standalone, documented Python module."""

from __future__ import annotations

import ast
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from discovery import __version__
from discovery.archive import Archive
from discovery.commands.show import describe
from discovery.errors import DiscoverError, UsageError
from discovery.folders import source_of, split_name
from problems.registry import load_problem


def export(name: str, folder: Path) -> Path:
    """Write the module into `folder` and return its path.

    Raises:
        UsageError: there is no such candidate, or the file is there already.
        DiscoverError: the folder cannot be written.
    """
    run_folder, label = split_name(name)
    with Archive(run_folder, "read") as archive:
        source = source_of(archive, label)
        record = describe(archive, label)
        problem = load_problem(archive.config["run"]["problem"])
    path = folder / f"{problem.name}_{label}.py"
    if path.exists():
        raise UsageError(f"'{path}' exists; choose another folder or remove it")
    templates = Environment(loader=PackageLoader("discovery"), undefined=StrictUndefined, keep_trailing_newline=True)
    future, rest = split_future(source)
    text = templates.get_template("export.py.j2").render(
        record=record, future=future, source=rest.strip(), problem=problem, version=__version__
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiscoverError(f"cannot write '{path}': {error.strerror or error}") from error
    return path


def split_future(source: str) -> tuple[str, str]:
    """A file's `from __future__` imports, and all else: in a module only its docstring may stand before them.

    Annotations are among them always, since sealed heuristics are run so: what they name need not be imported.
    """
    lines = source.splitlines(keepends=True)
    future: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                future.append(lines[number])
                lines[number] = ""
    if not any("annotations" in line for line in future):
        future.insert(0, "from __future__ import annotations\n")
    return "".join(future), "".join(lines)
