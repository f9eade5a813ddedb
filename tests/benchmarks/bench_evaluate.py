"""How long it takes to evaluate one candidate, what a second worker brings, and how fast the command starts."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.workers import Workers
from problems.registry import load_problem

REPEATS = 9
JOBS = 24


def main() -> None:
    """Print CPU per candidate, the speed-up of two workers, and start-up times."""
    problem = load_problem("smtt_dispatch")
    train = problem.split("train")
    with Sandbox() as sandbox:
        for name in ("edd", "mdd", "mddc"):
            source = find_heuristic(problem, name).source
            child = []
            own = []
            for _ in range(REPEATS):
                before = time.process_time()
                child.append(evaluate(problem, source, train, sandbox, Allowance()).cpu_seconds)
                own.append(time.process_time() - before)
            both = 1000 * (statistics.median(child) + statistics.median(own))
            print(
                f"smtt_dispatch, {name}, {len(train)} train instances: {both:.0f} ms CPU"
                f" ({1000 * statistics.median(own):.0f} of them on the trusted side; target ≤ 150)"
            )
    one, two = (statistics.median(asyncio.run(batch(count)) for _ in range(3)) for count in (1, 2))
    print(f"two workers: {one / two:.2f} times the throughput of one (target ≥ 1.8; {os.cpu_count()} cores)")
    with tempfile.TemporaryDirectory() as folder:
        command("run", "demo", "--set", "budget.candidates=20", cwd=folder)
        for arguments in (["--help"], ["leaderboard"]):
            wall, cpu = zip(*(command(*arguments, cwd=folder) for _ in range(REPEATS)), strict=True)
            print(
                f"discover {' '.join(arguments)}: {statistics.median(wall):.2f} s,"
                f" {statistics.median(cpu):.2f} s CPU (target ≤ 0.5 s)"
            )


async def batch(count: int) -> float:
    """Wall seconds for a batch of evaluations on `count` workers."""
    problem = load_problem("smtt_dispatch")
    source = find_heuristic(problem, "mddc").source
    async with Workers("smtt_dispatch", count=count, allowance=Allowance()) as workers:
        await asyncio.gather(*(workers.evaluate(source, "train") for _ in range(count)))
        before = time.perf_counter()
        await asyncio.gather(*(workers.evaluate(source, "train") for _ in range(JOBS)))
        return time.perf_counter() - before


def command(*arguments: str, cwd: str) -> tuple[float, float]:
    """Wall and CPU seconds of one call of the command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    discover = Path(sys.executable).parent / "discover"
    subprocess.run([discover, *arguments], cwd=cwd, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


if __name__ == "__main__":
    main()
