"""What policies exported to vLLM cost, in the environment of `make test-vllm`: `python -m tests.benchmarks vllm`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm/bin/python"


def main() -> None:
    """Print every figure of vLLM, if it is there."""
    if not (ROOT / ".venv-vllm/ready").exists():
        print("what exported policies cost in vLLM: not measured; make test-vllm installs vLLM (3.5 GB)")
        return
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    subprocess.run([PYTHON, "-m", "tests.vllm.bench"], cwd=ROOT, env={**os.environ, **quiet}, check=True)


if __name__ == "__main__":
    main()
