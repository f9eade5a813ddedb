"""The attacks once more as another user than root: the seal needs no privilege."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.lab import ROOT

NOBODY = 65534
PYTHONS = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]


def python_for_others() -> str | None:
    """An interpreter like this one that NumPy's build fits and that every user may run."""
    for python in PYTHONS:
        try:
            subprocess.run([python, "-c", ""], check=True, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="all tests run as another user already")
def test_all_of_it_without_root(tmp_path: Path) -> None:
    """As nobody, the sealed corpus has the same verdicts and each single layer stops what it stops."""
    python = python_for_others()
    if python is None or not ROOT.stat().st_mode & 0o005:
        pytest.skip("no Python, or no copy of the project, that other users may read")
    folder = Path("/tmp") / f"as-nobody-{os.getpid()}"  # pytest's own folders are root's alone
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder}"]
    result = subprocess.run(
        [python, "-m", "pytest", *options, "tests/attacks/test_attacks.py", "-k", "fails_in_the_seal or one_layer"],
        cwd=ROOT, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True,
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(readable, sys.path)]), "PATH": os.defpath},
    )  # fmt: skip
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def readable(path: str) -> bool:
    """Whether others may read a folder, at its end at least, and it holds packages."""
    return path.endswith("site-packages") and bool(Path(path).stat().st_mode & 0o005)
