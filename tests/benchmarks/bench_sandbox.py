"""How fast the sandbox is, beside what it has to reach: `python -m tests.benchmarks.bench_sandbox`."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evaluators.sandbox.affinity import pin
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import ALL, Layer

TINY = "def f(x): return x"
RULE = """
import numpy as np
def priority(p, d, t):
    return np.maximum(d, t + p) + 0.1 * np.maximum(d - t - p, 0.0) / p
"""
ONE_KB = np.zeros(128)
SCORE = """
def plain(a, b, c, d, e, now, free, running): return a
def score(requests, state): return requests.a
"""
FIELDS = [*(np.arange(25.0) for _ in "abcde"), *(np.array(1.0) for _ in range(3))]
RECORDS = "requests:a,b,c,d,e;state:now,free,running"


def show(what: str, figure: float, unit: str, target: str) -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:58} {figure:9.2f} {unit:13} {target}", flush=True)


def candidate(sandbox: Sandbox) -> float:
    """Fork to answer of one tiny candidate; its CPU time as measured from outside."""
    with sandbox.open(TINY) as session:
        session.ask("f", [ONE_KB])
    return session.cpu_seconds


def cpu_per_candidate(sandbox: Sandbox) -> float:
    """Median CPU seconds of a tiny candidate, on both sides of the wall."""
    used = []
    for _ in range(300):
        start = time.process_time()
        child = candidate(sandbox)
        used.append(time.process_time() - start + child)
    return statistics.median(used)


def zygote_cpu(sandbox: Sandbox, candidates: int = 300) -> float:
    """CPU seconds that a zygote itself spends on a candidate."""
    assert sandbox.zygote_pid is not None
    clock = (~sandbox.zygote_pid << 3) | 2
    start = time.clock_gettime(clock)
    for _ in range(candidates):
        candidate(sandbox)
    return (time.clock_gettime(clock) - start) / candidates


SEALS = {
    "all layers": ALL,
    "without namespaces": ALL & ~Layer.NAMESPACES,
    "limits only": Layer.PRIVILEGES | Layer.LIMITS,
    "no layer": Layer(0),
}


def by_layers() -> None:
    """What a tiny candidate and a start cost with less and less of the seal, so that each part shows its price."""
    for name, layers in SEALS.items():
        start = time.perf_counter()
        with Sandbox(layers=layers) as sandbox:
            started = time.perf_counter() - start
            cpu = cpu_per_candidate(sandbox) + zygote_cpu(sandbox)
        show(f"{name}: CPU of a tiny candidate, all processes", cpu * 1e3, "ms", "target: <= 5")
        show(f"{name}: start of a sandbox, wall", started * 1e3, "ms", "")


def rate(worker: int, seconds: float = 3.0) -> float:
    """Candidates per second of one worker."""
    pin(worker)
    with Sandbox() as sandbox:
        candidate(sandbox)
        start, done = time.monotonic(), 0
        while time.monotonic() < start + seconds:
            candidate(sandbox)
            done += 1
        return done / (time.monotonic() - start)


def round_trip(sandbox: Sandbox) -> float:
    """Median seconds of a question of 1 KB and its answer."""
    with sandbox.open(TINY) as session:
        return median_time(lambda: session.ask("f", [ONE_KB]), 20_000)


def fields(sandbox: Sandbox, function: str, records: str) -> float:
    """Median seconds of a question of five vectors of 25 and three numbers."""
    with sandbox.open(SCORE) as session:
        return median_time(lambda: session.ask(function, FIELDS, records=records), 20_000)


def dispatch(sandbox: Sandbox) -> float:
    """CPU seconds of 100 instances of 50 jobs under a rule of a few operations."""
    rng = np.random.default_rng(1)
    p, d = rng.integers(1, 100, 50), rng.integers(0, 2500, 50)
    with sandbox.open(RULE) as session:
        for _ in range(100):
            session.ask("priority", [p, d], dispatch=True)
        return session.cpu_seconds


def median_time(call: Callable[[], object], times: int) -> float:
    """Median seconds of a call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def footprint(sandbox: Sandbox) -> dict[str, int]:
    """What a leak would make grow: descriptors, processes and resident memory, ours and the zygote's."""
    sizes = {}
    for who, pid in (("own", os.getpid()), ("zygote", sandbox.zygote_pid)):
        proc = Path(f"/proc/{pid}")
        sizes[f"{who} descriptors"] = len(list((proc / "fd").iterdir()))
        sizes[f"{who} children"] = len((proc / f"task/{pid}/children").read_text().split())
        resident = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        sizes[f"{who} resident KB"] = resident // 1024
    return sizes


def leaks(sandbox: Sandbox, candidates: int) -> None:
    """Print what has grown over many candidates, the first hundred apart."""
    for _ in range(100):
        candidate(sandbox)
    before = footprint(sandbox)
    for _ in range(candidates):
        candidate(sandbox)
    after = footprint(sandbox)
    for what, size in after.items():
        target = "target: < 1024" if "KB" in what else "target: 0"
        show(f"growth over {candidates} candidates: {what}", size - before[what], "", target)


def main(candidates: int = 10_000) -> None:
    """Print every figure of the sandbox; `candidates` in a row are watched for leaks."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        show("tiny candidates, two zygotes", sum(pool.map(rate, range(2))), "/s", "target: >= 250")
    with Sandbox() as sandbox:
        show("round trip of 1 KB, free to move between cores", round_trip(sandbox) * 1e6, "µs", "")
    pin(0)
    with Sandbox() as sandbox:
        print(f"tier: {sandbox.tier}")
        show("CPU of a tiny candidate, supervisor and child", cpu_per_candidate(sandbox) * 1e3, "ms", "")
        show("CPU of a tiny candidate, zygote", zygote_cpu(sandbox) * 1e3, "ms", "target: <= 5 with the above")
        show("fork to answer, wall", median_time(lambda: candidate(sandbox), 300) * 1e3, "ms", "")
        show("round trip of 1 KB, on one core", round_trip(sandbox) * 1e6, "µs", "target: <= 25")
        show("round trip of 8 values of 1 KB in all, plain", fields(sandbox, "plain", "") * 1e6, "µs", "")
        show("the same as fields of two records", fields(sandbox, "score", RECORDS) * 1e6, "µs", "")
        show("dispatch, 100 instances of 50 jobs, CPU", dispatch(sandbox) * 1e3, "ms", "target: <= 80")
        by_layers()
        leaks(sandbox, candidates)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
