"""`discover bench --engine vllm` with vLLM itself: in the command's own process, and as a server that it starts."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from engine_bridge.policy import FCFS, load_policy
from engine_bridge.traces import write_jsonl
from engine_bridge.workload import Workload
from tests.vllm.offline import COMMON, environment
from tests.vllm.test_server import likeness
from tests.vllm.world import ROOT, draw_requests, simulated_order

ENGINE = (
    "--load-format dummy --enforce-eager --skip-tokenizer-init --seed 1 --max-num-seqs 2 --max-model-len 512"
    f" --max-num-batched-tokens 512 --block-size {COMMON['block_size']}"
)
REQUESTS = draw_requests(20, seed=2)
AHEAD, LONG = 2, 420
"""Requests that hold all places until the others have come."""
SECONDS = 240
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ended:
    """A command that has ended; `found`: by engine, pairs (prediction, tokens) in the order of completion."""

    code: int
    output: str
    errors: str
    left: list[str]
    found: list[Any]

    def result(self, policy: str, rate: float) -> dict[str, Any]:
        """What it says of one at a rate."""
        rows: dict[tuple[str, float], Any] = {
            (row["policy"], row["rate"]): row for row in json.loads(self.output)["results"]
        }
        return rows[policy, rate]


@contextmanager
def orphans() -> Iterator[list[str]]:
    """Fills the list with the commands of processes that are left of those started in the block; they are ended."""
    before = set(psutil.Process().children(recursive=True))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # who loses its parent becomes a child of this process
    left: list[str] = []
    try:
        yield left
    finally:
        time.sleep(1.0)  # those that notice the end of their parent by themselves
        for each in set(psutil.Process().children(recursive=True)) - before:
            if each.status() != psutil.STATUS_ZOMBIE:
                left.append(" ".join(each.cmdline()))
                each.kill()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)


def bench(*arguments: str, workload: Path) -> list[str]:
    """The arguments of the command."""
    slo = ("--workload", str(workload), "--slo", "30,5", "--engine", "vllm", "--json")
    return ["bench", *arguments, *slo]


def spawn(module: str, *arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """The command as a process, whose temporary files lie in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(None, TMPDIR=str(folder), **variables), start_new_session=True,
    )  # fmt: skip


def write_workload(path: Path) -> Path:
    """`REQUESTS`, which come all but at once while two long ones run, as a trace."""
    prompts = [50] * AHEAD + [len(request["prompt"]) for request in REQUESTS]
    outputs = [LONG] * AHEAD + [request["output"] for request in REQUESTS]
    predicted = [*range(1, AHEAD + 1), *(request["xargs"]["predicted"] for request in REQUESTS)]
    arrival = np.concatenate([np.zeros(AHEAD), 0.3 + 0.005 * np.arange(len(REQUESTS))])
    write_jsonl(Workload.of("crowd", arrival, prompts, outputs, predicted=predicted), path)
    return path


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name: vLLM's sockets lie in it, whose names may have 107 characters."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def ended(model: Path, folder: Path) -> Ended:
    """SJF, whose engine is killed at the second rate, then vLLM's own order, in one process."""
    found = folder / "found.json"
    workload = write_workload(folder / "w.jsonl")
    arguments = bench("sjf", "vllm", "--rate", "50,55", "--in-process", f"{model} {ENGINE}", workload=workload)
    with orphans() as left:
        process = spawn("tests.vllm.watched_bench", str(found), *arguments, folder=folder)
        output, errors = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, output, errors, left, json.loads(found.read_text()))


def order_of(found: list[Any]) -> list[int]:
    """Those of `REQUESTS` in the order of completion at the first rate, told by their predictions."""
    number = {request["xargs"]["predicted"]: place for place, request in enumerate(REQUESTS)}
    return [number[predicted] for predicted, _ in found if predicted in number][: len(REQUESTS)]


@pytest.mark.parametrize(("place", "policy"), [(0, "sjf"), (1, "vllm")])
def test_requests_finish_in_the_order_of_the_policy(ended: Ended, sjf: Path, place: int, policy: str) -> None:
    """As over HTTP: in the order that the simulator predicts for it, and not for the other."""
    order = order_of(ended.found[place])
    first_come = simulated_order(REQUESTS, FCFS, max_running=2, max_tokens=512)
    shortest = simulated_order(REQUESTS, load_policy(sjf / "policy.py"), max_running=2, max_tokens=512)
    mine, other = (first_come, shortest) if policy == "vllm" else (shortest, first_come)
    assert likeness(order, mine) > 0.95
    assert likeness(order, other) < 0.5


def test_a_policy_changes_no_token(ended: Ended) -> None:
    """Greedy outputs are the same, and of the wanted lengths."""
    found, fcfs = ({predicted: tokens for predicted, tokens in each if predicted} for each in ended.found)
    assert found == fcfs
    for request in REQUESTS:
        assert len(found[request["xargs"]["predicted"]]) == request["output"]


def test_the_engines_and_the_policys_figures_are_read(ended: Ended) -> None:
    """From the process that schedules; of the engine at hand, not of the one before it."""
    own, sjf = ended.result("vllm", 50.0), ended.result("sjf", 50.0)
    assert own["origin"] == "vLLM 0.32.0 in this process, no figures of an exported policy"
    assert sjf["origin"] == "vLLM 0.32.0 in this process, an exported policy"
    assert (own["sealed"], sjf["sealed"]) == (False, True)
    assert own["metrics"]["scheduler_us"] is None and sjf["metrics"]["scheduler_us"] > 0
    assert sjf["metrics"]["invalid"] == 0 and sjf["metrics"]["hit_tokens"] == 0
    for each in (own, sjf):
        assert (each["metrics"]["requests"], each["metrics"]["failed"]) == (len(REQUESTS) + AHEAD, 0)
        assert each["metrics"]["steps"] >= LONG


def test_an_engine_that_is_killed_is_no_score(ended: Ended) -> None:
    """One sentence with the place of the log, exit code 1; other results stand and follow, and no process is left."""
    assert ended.code == 1
    assert ended.result("vllm", 55.0)["metrics"]["requests"] == len(REQUESTS) + AHEAD
    failed = ended.result("sjf", 55.0)
    assert failed["metrics"] is None
    assert re.fullmatch(
        r"the engine in this process has died; look at its log \(log: \S+engine-1.log\)", failed["failure"]
    )
    assert [line for line in ended.errors.splitlines() if "warning" not in line] == [
        f"error: sjf at 55/s: {failed['failure']}"
    ]
    assert ended.left == []


def test_a_server_whose_engine_is_killed_is_no_score(model: Path, folder: Path) -> None:
    """The same over HTTP: requests that were under way are not counted as missed."""
    serve = shlex.join([sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)])
    workload = folder / "slow.jsonl"
    write_jsonl(Workload.of("slow", np.arange(40) * 0.25, [40] * 40, [100] * 40), workload)
    with orphans() as left:
        process = spawn(
            "discovery.cli", *bench("vllm", "--serve", f"{serve} {ENGINE}", workload=workload), folder=folder,
            VLLM_LOGGING_LEVEL="INFO",
        )  # fmt: skip
        os.kill(engine_at_work(process, folder), signal.SIGKILL)
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    failure = json.loads(output)["results"][0]["failure"]
    assert re.fullmatch(
        r"the server at \S+ (is gone|says that it is ill) \(.*\); look at its log \(log: \S+\)", failure
    )
    assert errors == f"error: vllm: {failure}\n"
    assert left == []


def engine_at_work(process: subprocess.Popen[str], folder: Path) -> int:
    """The process that computes in the server that `process` has started, once it serves measured requests."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        for log in folder.glob("*/server-1.log"):
            text = log.read_text()
            if text.count("POST /v1/completions") > 8:  # after a probe and the warm-up
                found = re.search(r"EngineCore pid=(\d+)", text)
                assert found is not None
                return int(found[1])
        time.sleep(0.1)
    raise AssertionError(f"no request was served:\n{process.communicate(timeout=5)}")
