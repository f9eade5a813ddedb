"""Calls to an endpoint: how busy its slots are kept, what a call costs us, and how fast a recording is replayed."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from discovery.archive import Archive
from discovery.config import load_config
from discovery.create import create
from discovery.session import Observers, run
from tests.discovery.tiny_run import PROBLEM, RULE
from tests.endpoint import completion, endpoint

SLOTS = 32
LATENCY = 2.0
CANDIDATES = 640
"""Of the run that keeps the slots busy: twenty calls for each."""
RECORDED = 1000

CONFIG = """
[run]
problem = "{problem}:Tiny"
name = "calls"

[search]
islands = 4

[evaluation]
workers = 2

[budget]
candidates = {candidates}

[proposer]
kind = "openai"
model = "mock"
base_url = "{url}"
concurrency = {slots}
"""


def serve(pipe: Connection, latency: float) -> None:
    """A mock endpoint in a process of its own; reports when its calls began and ended once it is asked to."""

    def answer(number: int, request: object) -> object:
        time.sleep(latency)
        return completion(RULE.format(number=number, power=1 + number / 4096))

    with endpoint(answer) as server:  # type: ignore[arg-type]
        pipe.send(server.url)
        pipe.recv()
        pipe.send([(call.began, call.ended) for call in server.calls])


@contextmanager
def served(latency: float) -> Iterator[tuple[str, Connection]]:
    """The endpoint's address, and the end of the pipe to ask it by."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, latency), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.kill()
        process.join()


def write(folder: Path, url: str, candidates: int, slots: int) -> Path:
    """The config of a run of the tiny problem."""
    path = folder / "calls.toml"
    path.write_text(CONFIG.format(problem=PROBLEM, url=url, candidates=candidates, slots=slots))
    return path


def see_through(folder: Path, config: Path) -> None:
    """The run, with the real command."""
    command = [sys.executable, "-m", "discovery.cli", "run", str(config)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"error: the run ended with exit code {result.returncode}:\n{result.stderr}")


def busy(calls: list[tuple[float, float]]) -> float:
    """Share of the slots that were busy, after the first call ended and before the last one began."""
    start, end = min(ended for _, ended in calls), max(began for began, _ in calls)
    inside = sum(max(min(ended, end) - max(began, start), 0.0) for began, ended in calls)
    return inside / (end - start) / SLOTS


def slots() -> None:
    """Print how busy 32 slots are kept by a run with two workers, seen from the server."""
    with tempfile.TemporaryDirectory() as folder, served(LATENCY) as (url, pipe):
        see_through(Path(folder), write(Path(folder), url, CANDIDATES, SLOTS))
        pipe.send("done")
        calls = pipe.recv()
    print(
        f"{SLOTS} slots, {LATENCY:g} s latency, two workers evaluating: {100 * busy(calls):.1f} % busy over"
        f" {len(calls)} calls (target ≥ 95 %; load {os.getloadavg()[0]:.1f})"
    )


def cpu() -> None:
    """Print what a candidate costs the main process, by calls and by evaluations made elsewhere."""
    marks: list[tuple[float, float]] = []

    def mark(candidate: object) -> None:
        marks.append((time.process_time(), time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder, served(0.1) as (url, _):
        os.chdir(folder)
        config, stem = load_config(str(write(Path(folder), url, RECORDED, 8)))
        with create(config, stem, lambda phase: None) as archive:
            asyncio.run(run(archive, Observers(lambda phase: None, mark, lambda spending: None)))
        os.chdir("/")
    skipped = 50
    milliseconds = 1000 * (marks[-1][0] - marks[skipped][0]) / (len(marks) - 1 - skipped)
    print(f"CPU of the main process per call, all in: {milliseconds:.1f} ms over {len(marks)} calls (target ≤ 10)")


def replayed() -> None:
    """Print how fast a recorded run is replayed, its measurements included."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with served(0.0) as (url, _):
            see_through(folder, write(folder, url, RECORDED, 8))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        command = [sys.executable, "-m", "discovery.cli", "replay", "calls", "--set", "run.name=again", "--json"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Archive(folder / "runs" / "again", "read") as archive:
            rows = archive.query("SELECT min(at) AS first, max(at) AS last FROM outcome")
            assert archive.committed() == RECORDED
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        same = "identical" if leaderboard(folder, "calls") == leaderboard(folder, "again") else "DIFFERENT"
    rate = (RECORDED - 1) / (rows[0]["last"] - rows[0]["first"])
    print(
        f"replay of {RECORDED:,} candidates: {rate:.0f}/s (target ≥ 200; load {os.getloadavg()[0]:.1f}),"
        f" {RECORDED / wall:.0f}/s with start and finals, {1000 * spent / RECORDED:.1f} ms CPU each; leaderboard {same}"
    )


def leaderboard(folder: Path, name: str) -> str:
    """A run's leaderboard, without its name."""
    command = [sys.executable, "-m", "discovery.cli", "leaderboard", name, "--json"]
    text = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return json.dumps([{**row, "run": "", "isolation": ""} for row in json.loads(text)])


def main() -> None:
    """Print every figure."""
    slots()
    cpu()
    replayed()


if __name__ == "__main__":
    main()
