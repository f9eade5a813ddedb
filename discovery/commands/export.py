"""The command export: a heuristic as a standalone Python module, or as a folder that a serving engine runs."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from discovery import __version__
from discovery.archive import Archive
from discovery.commands.show import describe
from discovery.errors import DiscoverError, UsageError
from discovery.folders import source_of, split_name
from problems.registry import load_problem

TARGETS = ("python", "vllm", "sglang")


def export(name: str, folder: Path, target: str = "python") -> Path:
    """Write what `target` names into `folder`; the path of the module, or of the folder.

    Raises:
        UsageError: there is no such target or policy, the engine cannot carry it out, or something is there already.
        DiscoverError: the folder cannot be written.
    """
    if target == "python":
        return export_module(name, folder)
    if target not in TARGETS:
        nearest = difflib.get_close_matches(target, TARGETS, n=1, cutoff=0.4)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose {', '.join(TARGETS)}"
        raise UsageError(f"--to {target}: there is no such target; {hint}")
    from discovery.exporting.sglang import export_sglang
    from discovery.exporting.vllm import export_vllm
    from discovery.exporting.winner import find_winner

    write = export_vllm if target == "vllm" else export_sglang
    return write(find_winner(name, target), folder)


def export_module(name: str, folder: Path) -> Path:
    """Write a candidate's module into `folder` and return its path.

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
