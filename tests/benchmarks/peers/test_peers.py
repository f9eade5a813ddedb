"""The comparison's own parts: what it counts, how it scores, and one cell from start to table, without a model."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.peers import cell, systems
from tests.benchmarks.peers.cell import CellError, result_path, run_cell
from tests.benchmarks.peers.counter import MAX_TOKENS, Counter, serving
from tests.benchmarks.peers.report import ahead, best_after, report
from tests.benchmarks.peers.task import Judge, Task
from tests.endpoint import completion, endpoint, error

RULE = """Idea: weigh.
```python
import numpy as np

def priority(p, d, t):
    return np.maximum(t + {c} * p, d)
```"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """A judge for all tests."""
    found = Judge()
    yield found
    found.close()


def post(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Status and body of the answer."""
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


def test_every_system_gets_the_same_calls_and_no_more(judge: Judge) -> None:
    """Temperature and length are the same whatever was asked; failures cost no call; after the last one it refuses."""

    def answer(number: int, _: dict[str, Any]) -> Any:
        return error(500, "busy") if number == 1 else completion("yes", 100, 20)

    with endpoint(answer) as served, serving(counter := Counter(served.url, "mock", 3, 7, judge)) as url:
        asked = {"messages": [{"role": "user", "content": "?"}], "temperature": 2, "max_tokens": 9999, "seed": 1}
        found = [post(f"{url}/v1/chat/completions", asked)[0] for _ in range(5)]
        sent = served.calls[2].request
    assert sorted(found) == [200, 200, 200, 403, 500]
    assert (len(counter.calls), len(counter.failed), counter.refused) == (3, 1, 1) and counter.spent
    assert (sent["temperature"], sent["max_tokens"], sent["model"], sent["seed"] // 1000) == (
        0.8,
        MAX_TOKENS,
        "mock",
        7,
    )
    assert [call["input"] for call in counter.calls] == [100, 100, 100]


def test_the_judge_scores_as_our_own_evaluator_does(judge: Judge) -> None:
    """The starting program has MDD's gap, by class too; what fails has its verdict and a score of 0."""
    with serving(counter := Counter("http://127.0.0.1:1/v1", "mock", 1, 1, judge)) as url:
        _, sound = post(f"{url}/judge", {"source": Task().program})
        _, broken = post(f"{url}/judge", {"source": "def priority(p, d, t):\n    return 1 / 0\n"})
    assert sound["gap"] == pytest.approx(0.934, abs=5e-4) and "hard" in sound["classes"]
    assert sound["score"] == pytest.approx(1 / (1 + sound["gap"]))
    assert (broken["verdict"], broken["gap"], broken["score"]) == ("exception", None, 0)
    assert "ZeroDivisionError" in broken["detail"]
    assert [each["calls"] for each in counter.judged] == [0, 0]


def test_peers_are_told_what_our_own_prompts_say() -> None:
    """The problem, the signature and the rules; the program is marked, and does not say where it is from."""
    task = Task()
    assert "Minimise the total tardiness" in task.message and "priority(p" in task.message
    assert "# Your task" not in task.message
    assert task.program.startswith("# EVOLVE-BLOCK-START\nimport numpy") and "Baker" not in task.program


def test_a_cell_is_run_once_and_reported(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Best-of-N with four calls: each a candidate, all counted, kept; asked again, it is read; the table shows it."""
    monkeypatch.setattr(systems, "FOLDER", tmp_path)
    monkeypatch.setattr(cell, "FOLDER", tmp_path)
    with endpoint(lambda number, _: completion(RULE.format(c=0.5 + number / 10), 100, 20)) as served:
        found = run_cell("best-of-N", 1, 4, upstream=served.url, model="mock", judge=judge)
        again = run_cell("best-of-N", 1, 4, upstream=served.url, model="mock", judge=judge)
        assert len(served.calls) == 4
    assert again == json.loads(result_path("best-of-N", 1, 4).read_text())
    assert (found["calls"], found["candidates"], found["valid"]) == (4, 4, 1.0)
    assert (found["input_tokens"], found["output_tokens"]) == (400, 80)
    assert [each["calls"] for each in found["judged"]] == [1, 2, 3, 4]
    gaps = [best_after(found, calls) for calls in range(5)]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] == found["start"] and gaps[4] == found["best"]
    assert found["cpu_seconds"] > 0 and found["test"] > 0
    assert "best-of-N" in report([found])
    ours = {**found, "system": systems.OURS}
    assert "less than 3 seeds: no interval" in report([ours, ours, found])
    assert "95 % interval +0.000 … +0.000" in report([*(ours,) * 3, *(found,) * 3])


def test_a_system_that_makes_no_calls_is_an_error(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that refuses all: the cell says so, names the log, and leaves no result behind."""
    monkeypatch.setattr(systems, "FOLDER", tmp_path)
    monkeypatch.setattr(cell, "FOLDER", tmp_path)
    with endpoint(lambda *_: error(401, "no key")) as served, pytest.raises(CellError, match=r"0 of 2 calls.*no key"):
        run_cell("greedy", 1, 2, upstream=served.url, model="mock", judge=judge)
    assert not result_path("greedy", 1, 2).exists()


def test_the_difference_of_medians_has_an_interval() -> None:
    """Clearly apart: it excludes zero; the same values: it contains it."""
    assert ahead([1.0, 1.1, 1.2], [2.0, 2.1, 2.2])[2] < 0
    same, low, high = ahead([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert low < same == 0 < high
