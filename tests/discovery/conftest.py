"""A small run with the real command, made once per test process and read by many tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Discover = Callable[..., subprocess.CompletedProcess[str]]

SMALL = """
[run]
problem = "{problem}"
seed = 3
name = "{name}"

[search]
islands = 2
lookahead = 4

[evaluation]
workers = 2
promote = 3
finalists = 2

[budget]
candidates = {candidates}
"""


def write_config(folder: Path, *, name: str = "small", problem: str = "smtt_dispatch", candidates: int = 30) -> Path:
    """A config for a short run with the genetic proposer."""
    path = folder / f"{name}.toml"
    path.write_text(SMALL.format(name=name, problem=problem, candidates=candidates))
    return path


def discover(*arguments: str | Path, cwd: Path, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    """Call the real command and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "discovery.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the run `small` was made; tests only read it."""
    folder = tmp_path_factory.mktemp("small")
    finished = discover("run", write_config(folder), cwd=folder)
    assert finished.returncode == 0, finished.stderr
    (folder / "output.txt").write_text(finished.stdout + finished.stderr)
    return folder
