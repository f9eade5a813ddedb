"""The step log that an exported scheduler writes, as `discover calibrate` reads it."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine_bridge.cost import attention_pairs
from engine_bridge.step_log import read_step_log
from engine_bridge.vllm.steps import StepRecorder, work

LOG = logging.getLogger("test")


def request(prompt: int, computed: int) -> SimpleNamespace:
    """A request after vLLM has scheduled it: the tokens of the step count as computed."""
    return SimpleNamespace(num_prompt_tokens=prompt, num_computed_tokens=computed)


def output(**tokens: int) -> SimpleNamespace:
    """What vLLM's schedule() returns, as far as the log needs it."""
    return SimpleNamespace(num_scheduled_tokens=tokens)


def test_the_work_of_a_step_is_what_the_cost_model_counts() -> None:
    """A fresh chunk, a later one, a last one of a single token, a decode, a prompt computed anew with its output."""
    requests = {
        "fresh": request(100, 40),
        "later": request(100, 90),
        "last": request(50, 50),
        "decode": request(30, 36),
        "again": request(20, 25),
    }
    found = work({"fresh": 40, "later": 50, "last": 1, "decode": 1, "again": 25}, requests)
    pairs = attention_pairs([0, 40, 49, 0], [40, 50, 1, 25]).sum()
    assert found == (40 + 50 + 1 + 25, pairs, 1, 36, 5)


def test_steps_last_from_results_to_results(tmp_path: Path) -> None:
    """Back to back a step begins with the results of the one before it, after a pause when it is scheduled."""
    path = tmp_path / "steps.csv"
    recorder = StepRecorder(path, LOG)
    now = 0.0
    recorder.clock = lambda: now
    requests = {"a": request(10, 10)}
    for since, end, more in ((1.0, 1.5, True), (1.6, 2.0, False), (7.0, 7.25, False)):
        step = output(a=10)
        recorder.scheduled(step, requests, since)
        now = end
        recorder.updated(step, more=more)
    recorder.scheduled(output(), requests, 8.0)  # nothing was scheduled: no step
    assert len(path.read_text().splitlines()) == 4  # written when nothing is left to do
    recorder.close()
    log = read_step_log(path)
    assert log.seconds.tolist() == pytest.approx([0.5, 0.5, 0.25])
    assert np.array_equal(log.prefill_tokens, [10, 10, 10]) and log.batch.tolist() == [1, 1, 1]


def test_steps_that_are_under_way_at_once_do_not_count_twice(tmp_path: Path) -> None:
    """With two steps in flight each lasts from the results before it to its own, and together the whole time."""
    recorder = StepRecorder(tmp_path / "steps.csv", LOG)
    now = 0.0
    recorder.clock = lambda: now
    requests = {"a": request(10, 10)}
    first, second, lost = output(a=10), output(a=10), output(a=10)
    recorder.scheduled(lost, requests, 0.5)  # its results never come
    recorder.scheduled(first, requests, 1.0)
    recorder.scheduled(second, requests, 1.1)
    for step, end in ((first, 2.0), (second, 2.4)):
        now = end
        recorder.updated(step, more=True)
    recorder.close()
    assert read_step_log(tmp_path / "steps.csv").seconds.tolist() == pytest.approx([1.0, 0.4])


def test_a_file_that_cannot_be_written_ends_the_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No folder, or a full disk later on: one warning, and the scheduler never sees an error."""
    recorder = StepRecorder(tmp_path / "nowhere" / "steps.csv", LOG)
    recorder.scheduled(output(a=1), {"a": request(1, 1)}, 0.0)
    recorder.updated(output(), more=False)
    recorder.close()
    full = StepRecorder(Path("/dev/full"), LOG)
    step = output(a=1)
    for _ in range(3):
        full.scheduled(step, {"a": request(1, 1)}, 0.0)
        full.updated(step, more=False)
    full.close()
    assert [record.message.count("serving goes on without it") for record in caplog.records] == [1, 1]
