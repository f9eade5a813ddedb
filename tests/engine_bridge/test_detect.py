import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine_bridge.detect import gpus


def test_engines_are_found_by_their_packages() -> None:
    """Every known engine is reported, with a version or None, without importing it."""
    program = "import sys, engine_bridge.detect as d; print(*sorted(d.installed_engines()), 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "torch vllm False\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'NVIDIA H200, 143771 MiB'", ["NVIDIA H200, 143771 MiB"]),
        ("exit 9", []),
    ],
)
def test_gpus_are_what_the_driver_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, expected: list[str]
) -> None:
    """A driver's answer is passed on; a driver that fails, or none at all, means no GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert gpus() == expected
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert gpus() == []
