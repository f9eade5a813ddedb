"""What this machine offers to run policies on, found out without importing anything heavy."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

ENGINES = ("torch", "vllm")


def installed_engines() -> dict[str, str | None]:
    """Installed version of each engine's package; None where it is not installed."""
    return {name: installed_version(name) for name in ENGINES}


def gpus() -> list[str]:
    """Names and memory of the NVIDIA GPUs, as the driver reports them; empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        reply = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    return [line.strip() for line in reply.stdout.splitlines() if line.strip()]


def installed_version(package: str) -> str | None:
    """The version of an installed package, None without."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
