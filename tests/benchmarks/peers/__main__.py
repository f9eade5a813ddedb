"""This project beside OpenEvolve, ShinkaEvolve, greedy and best-of-N: `python -m tests.benchmarks.peers`."""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.peers.cell import CellError, result_path, run_cell
from tests.benchmarks.peers.report import report
from tests.benchmarks.peers.systems import SYSTEMS
from tests.benchmarks.peers.task import Judge


def main() -> None:
    """Run every cell that is missing, seed by seed, then print the table; stop at any moment and go on later."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8089/v1", help="an OpenAI-compatible endpoint")
    parser.add_argument("--model", default="local")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS, metavar="NAME", help=str(SYSTEMS)
    )
    parser.add_argument("--report", action="store_true", help="run nothing, print what is there")
    asked = parser.parse_args()
    results, failures = [], []
    judge = Judge()
    try:
        for seed in range(1, asked.seeds + 1):
            for system in asked.systems:
                if asked.report and not result_path(system, seed, asked.calls).is_file():
                    continue
                print(f"{system}, seed {seed} …", file=sys.stderr, flush=True)
                try:
                    results.append(
                        run_cell(system, seed, asked.calls, upstream=asked.url, model=asked.model, judge=judge)
                    )
                except CellError as error:
                    failures.append(str(error))
                    print(f"error: {error}", file=sys.stderr, flush=True)
    finally:
        judge.close()
    results.sort(key=lambda result: SYSTEMS.index(result["system"]))
    print(report(results) if results else "nothing was measured yet")
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
