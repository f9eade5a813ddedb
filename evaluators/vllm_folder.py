"""Exports for vLLM: a policy in a folder with all that runs it, made of this project's own source files.

The runtime is a copy of modules under another name, so that it neither needs this project nor meets it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from engine_bridge.vllm.folder import FORMAT, MANIFEST, POLICY, digest

CLASS = "scheduler.PolicyScheduler"
"""What `--scheduler-cls` is given."""
RUNTIME = "policy_runtime"
ENTRY = "evaluators.vllm_entry"
PACKAGES = ("engine_bridge.vllm", "evaluators.sandbox")
"""Copied as a whole."""
MODULES = (*("engine_bridge.policy", "evaluators.verdict", "evaluators.served_policy", "problems.errors"),)
_OURS = re.compile(r"\b(?:engine_bridge|evaluators|problems)\b(?=[.\"])")


def runtime_files() -> dict[str, str]:
    """The files that run a policy: their text by their path in the folder."""
    found = {"scheduler.py": copied(ENTRY), f"{RUNTIME}/__init__.py": '"""What runs the policy of this folder."""\n'}
    for module in (*MODULES, *(name for package in PACKAGES for name in _modules(package))):
        found[_path(module)] = copied(module)
    return dict(sorted(found.items()))


def write_folder(
    folder: Path, policy: str, facts: Mapping[str, object], runtime: Mapping[str, str] | None = None
) -> None:
    """Write the policy's source, what runs it, and a manifest that holds `facts` beside the hashes of the files.

    `facts`: its `functions`, as a sealed process found them, and what is told of it.

    `runtime`: the files that run it, by path; None: those for vLLM.

    Raises:
        OSError: it cannot be written.
    """
    texts = {POLICY: policy, **(runtime_files() if runtime is None else runtime)}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    manifest = {
        **facts,
        "format": FORMAT,
        "files": {name: digest(text.encode()) for name, text in texts.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _modules(package: str) -> Iterator[str]:
    """All modules of a package, itself included."""
    for each in files(package).iterdir():
        if each.name.endswith(".py"):
            stem = each.name.removesuffix(".py")
            yield package if stem == "__init__" else f"{package}.{stem}"


def _path(module: str) -> str:
    """Where a module goes."""
    _, *parts = module.split(".")
    package = module in PACKAGES
    return "/".join([RUNTIME, *parts]) + ("/__init__.py" if package else ".py")


def copied(module: str) -> str:
    """A module's source with the names that our packages have in a folder."""
    package, _, name = module.rpartition(".")
    path = files(module).joinpath("__init__.py") if module in PACKAGES else files(package).joinpath(f"{name}.py")
    return _OURS.sub(RUNTIME, path.read_text(encoding="utf-8"))
