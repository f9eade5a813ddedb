"""Run every benchmark: `make bench`, or `python -m tests.benchmarks NAME…` for some of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Each benchmark is a module `bench_NAME` with a function `main`; figures are printed beside their targets."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    chosen = sys.argv[1:] or known
    for name in chosen:
        if name not in known:
            sys.exit(f"error: unknown benchmark '{name}'; there are {', '.join(known)}")
    for name in chosen:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main()
