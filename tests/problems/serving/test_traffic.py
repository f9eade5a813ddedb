"""Discovery on a user's own traffic: the problem `Traffic`, and the command that shows and converts traces."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine_bridge.cost import load_profile
from engine_bridge.sources import load_workload
from engine_bridge.traces import read_trace, write_jsonl
from engine_bridge.workload import Workload
from problems.base import Problem
from problems.errors import ProblemError
from problems.registry import load_problem
from problems.serving.instances import decode_iteration
from tests.discovery.conftest import discover

PAGE = Path(__file__).parents[3] / "engine_bridge" / "vllm" / "README.md"
SOURCE = """
from problems.serving.traffic import Traffic

class Mine(Traffic):
    name = "serving_mine"
    trace = "mine.jsonl"
    {more}
"""


def make(folder: Path, n: int = 120, more: str = "requests = 10; rate = 300", **arrays: Any) -> Problem:
    """The problem in a file of its own, beside a trace of n requests."""
    drawn = load_workload("conversation", requests=n).clipped(500, 40)
    write_jsonl(Workload.of("mine", drawn.arrival, drawn.prompt, drawn.output, **arrays), folder / "mine.jsonl")
    (folder / "traffic.py").write_text(SOURCE.format(more=more))
    return load_problem(f"{folder / 'traffic.py'}:Mine")


def test_a_trace_becomes_splits_in_the_order_of_time(tmp_path: Path) -> None:
    """Train before validation before test, no request twice, windows of the wanted length, fresh ones from the rest."""
    problem = make(tmp_path, predicted=np.arange(120) + 1)  # by which requests are known
    seen = {split: [set(each["predicted"].tolist()) for each in problem.split(split)] for split in problem.splits}
    assert [len(seen[split]) for split in ("probe", "train", "validation", "test")] == [1, 4, 2, 2]
    assert seen["probe"][0] in seen["train"]
    parts = [set().union(*seen[split]) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [40, 20, 20]
    assert max(parts[0]) < min(parts[1]) and max(parts[1]) < min(parts[2])
    fresh = problem.fresh(3)
    assert min(each["predicted"].min() for each in fresh) > max(parts[2])
    again = problem.fresh(3)
    assert all(np.array_equal(one["arrival"], two["arrival"]) for one, two in zip(fresh, again, strict=True))


def test_the_engine_and_its_clock_are_the_users(tmp_path: Path) -> None:
    """KV blocks, batch, profile and objectives are those of the class; those of the trace go first."""
    profile = load_profile("h200-mixtral-8x7b")
    profile.save(tmp_path / "mine.json")
    more = "requests = 10; blocks = 777; max_running = 9; max_tokens = 512; profile = 'mine.json'; slo = (2.0, 0.25)"
    instance = make(tmp_path, more=more).split("train")[0]
    assert (int(instance["blocks"]), int(instance["max_running"]), int(instance["max_tokens"])) == (777, 9, 512)
    assert np.array_equal(instance["cost"], profile.vector)
    assert (instance["ttft"] == 2).all() and (instance["tpot"] == 0.25).all()
    own = make(tmp_path, more=more, ttft=np.full(120, 9.0), tpot=np.full(120, 3.0)).split("train")[0]
    assert (own["ttft"] == 9).all() and (own["tpot"] == 3).all()
    assert (make(tmp_path).split("train")[0]["ttft"] >= 0.25).all()  # strict: five prefills of 50 ms at least
    strict = make(tmp_path, more="requests = 10; profile = 'mine.json'").split("train")[0]
    assert np.allclose(strict["tpot"], 5 * decode_iteration(profile))  # of this engine's iterations


@pytest.mark.parametrize(
    ("n", "more", "said"),
    [
        (40, "requests = 10", "40 requests are too few for windows of 10; give a longer trace, or set requests to 8"),
        (120, "trace = 'nowhere.jsonl'", "no workload nowhere.jsonl"),
        (120, "requests = 10; profile = 'nosuch'", "nosuch"),
        (120, "requests = 10; rate = 0.01", "at 0.01 requests a second two requests never wait together"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, n: int, more: str, said: str) -> None:
    """One sentence that begins with the problem's name."""
    with pytest.raises(ProblemError, match=rf"problem 'serving_mine': .*{said}"):
        make(tmp_path, n, more).split("probe")


def test_a_policy_is_discovered_on_own_traffic_and_exported(tmp_path: Path) -> None:
    """From a trace to a folder for vLLM by four commands; the winner counts as a policy everywhere."""
    make(tmp_path, more="requests = 10; rate = 300; windows = 1")
    settings = ("run.problem=traffic.py:Mine", "run.name=mine", "budget.candidates=6", "evaluation.workers=2")
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = discover("run", "serving", *arguments, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    best = next(row["heuristic"] for row in json.loads(result.stdout) if row["heuristic"].isdecimal())
    result = discover("bench", f"mine/{best}", "fcfs", "--workload", "mine.jsonl", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    result = discover("export", f"mine/{best}", "out", "--to", "vllm", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "of the problem serving_mine" in (tmp_path / "out" / "README.md").read_text()
    assert discover("doctor", "out", cwd=tmp_path).returncode == 0


def test_the_pages_own_problem_is_one(tmp_path: Path) -> None:
    """What the page "from traffic to a better scheduler" calls traffic.py makes windows of a trace beside it."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    make(tmp_path, 400)
    (tmp_path / "mine.jsonl").rename(tmp_path / "traffic.jsonl")
    load_profile("h200-llama3-8b").save(tmp_path / "mine.json")
    (tmp_path / "traffic.py").write_text(block)
    instance = load_problem(f"{tmp_path / 'traffic.py'}:Mine").split("train")[0]
    assert (len(instance["arrival"]), int(instance["max_running"]), float(instance["tpot"][0])) == (40, 8, 0.1)


def test_a_trace_is_shown_and_converted(tmp_path: Path) -> None:
    """What it holds in figures; a slice of it in our own format, and nothing is written over."""
    write_jsonl(load_workload("mooncake", requests=100), tmp_path / "all.jsonl")
    result = discover("trace", "all.jsonl", "part.jsonl", "--start", "5", "--requests", "20", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["requests"] == 20 and facts["prompt seen before %"] > 0
    part = read_trace(tmp_path / "part.jsonl")
    assert len(part) == 20 and part.arrival[0] >= 0 and len(part.block_ids) > 0
    result = discover("trace", "all.jsonl", "part.jsonl", cwd=tmp_path)
    assert result.returncode == 2 and "'part.jsonl' exists" in result.stderr
    result = discover("trace", "all.jsonl", "--start", "1e6", cwd=tmp_path)
    assert result.returncode == 2 and "has no request in 1e+06 to inf s" in result.stderr
