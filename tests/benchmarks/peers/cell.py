"""One cell of the comparison: a system sees its budget of calls through, and what it did is written down."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from evaluators.verdict import Verdict
from tests.benchmarks.peers.counter import PATIENCE, Counter, serving
from tests.benchmarks.peers.systems import FOLDER, Job
from tests.benchmarks.peers.task import Judge, Task

GRACE = 30.0
"""Seconds a peer has after its last call: to have the answer judged."""
STALLED = 2 * PATIENCE
"""Seconds without a call or judgement after which a system is given up."""


class CellError(RuntimeError):
    """A system did not see its budget through."""


def result_path(system: str, seed: int, calls: int) -> Path:
    """Where a cell's result is kept."""
    return FOLDER / "results" / f"{re.sub('[^A-Za-z]+', '-', system)}-calls{calls}-seed{seed}.json"


def run_cell(system: str, seed: int, calls: int, *, upstream: str, model: str, judge: Judge) -> dict[str, Any]:
    """Run a system, or read what an earlier run wrote; a cell that was cut short is run again from its start.

    Raises:
        CellError: it ended, or stood still, before its calls were made.
    """
    path = result_path(system, seed, calls)
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    folder = (FOLDER / "cells" / path.stem).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counter = Counter(upstream, model, calls, seed, judge)
    task = Task()
    with serving(counter) as url:
        job = Job(system, seed, calls, model, folder, f"{url}/v1", f"{url}/judge", task.message, task.program)
        began = time.monotonic()
        cpu = _watch(job, counter)
        wall = time.monotonic() - began
    found = _result(job, counter, judge, cpu, wall)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))
    return found


def _watch(job: Job, counter: Counter) -> float:
    """Start a system and wait until its budget is seen through; its CPU seconds, evaluation apart."""
    command = job.command()
    counter.at = time.monotonic()
    with (job.folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        cpu = 0.0
        try:
            while process.poll() is None:
                if not counter.refused:  # what follows the budget's last call is not counted
                    cpu = max(cpu, _cpu_of_session(process.pid) if job.peer else _cpu_of(process.pid))
                quiet = time.monotonic() - counter.at
                if quiet > STALLED or (job.peer and counter.spent and quiet > GRACE):
                    break
                time.sleep(0.2)
        finally:
            _end(process)
    if len(counter.calls) < job.calls:
        failed = f"; calls failed, the last with {counter.failed[-1]}" if counter.failed else ""
        raise CellError(
            f"{job.system}, seed {job.seed}: {len(counter.calls)} of {job.calls} calls were made{failed};"
            f" see {job.folder / 'log.txt'}"
        )
    return cpu


def _result(job: Job, counter: Counter, judge: Judge, cpu: float, wall: float) -> dict[str, Any]:
    judged = job.judged(counter.judged)
    start = judge(job.program)
    good = [each for each in judged if each["gap"] is not None]
    best = min(good, key=lambda each: each["gap"], default=None)
    if best is None or (start.gap is not None and best["gap"] >= start.gap):
        best = {"gap": start.gap, "source": job.program}
    sound = (Verdict.ok, Verdict.duplicate)
    return {
        "system": job.system,
        "version": job.version,
        "model": job.model,
        "seed": job.seed,
        "calls": len(counter.calls),
        "start": start.gap,
        "input_tokens": sum(call["input"] for call in counter.calls),
        "output_tokens": sum(call["output"] for call in counter.calls),
        "valid": sum(each["called"] and each["verdict"] in sound for each in judged) / len(counter.calls),
        "candidates": len(judged),
        "failed_calls": counter.failed,
        "refused_calls": counter.refused,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "best": best["gap"],
        "test": judge(best["source"], "test").gap,
        "source": best["source"],
        "judged": [{name: each[name] for name in ("calls", "called", "gap", "verdict", "source")} for each in judged],
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a system with all its processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cpu_of(pid: int) -> float:
    """CPU seconds of one process, without its children."""
    return _times(Path(f"/proc/{pid}/stat"))[1]


def _cpu_of_session(leader: int) -> float:
    """CPU seconds of all processes of a session, with those that ended and were waited for."""
    found = [_times(path, children=True) for path in Path("/proc").glob("[0-9]*/stat")]
    return sum(seconds for session, seconds in found if session == leader)


def _times(path: Path, *, children: bool = False) -> tuple[int, float]:
    """Session and CPU seconds of a process; nothing if it has ended."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return -1, 0.0
    ticks = sum(map(int, fields[11 : 15 if children else 13]))
    return int(fields[3]), ticks / os.sysconf("SC_CLK_TCK")
