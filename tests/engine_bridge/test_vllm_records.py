"""Our simulator against what vLLM's scheduler did, as recorded by `python -m tests.vllm.oracle --write`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.vllm.cases import from_json, simulate_case

DATA: dict[str, Any] = json.loads(gzip.decompress((Path(__file__).parent / "fixtures" / "vllm.json.gz").read_bytes()))


@pytest.mark.parametrize("number", range(len(DATA["cases"])))
def test_every_step_is_as_vllm_decided(number: int) -> None:
    """Tokens, admissions, preemptions, finished requests, free blocks and the policy's views equal vLLM's."""
    case, theirs = from_json(DATA["cases"][number])
    assert simulate_case(case) == theirs


def test_the_records_exercise_what_they_should() -> None:
    """They hold preemptions, prefix hits, several chunks of one prompt, and policies with each function."""
    cases = [from_json(data) for data in DATA["cases"]]
    assert DATA["scheduler"] == "Scheduler (synchronous)"
    assert sum(len(step.preempted) for _, record in cases for step in record.steps) > 100
    assert sum(any(map(len, case.prefix)) and case.settings["prefix_cache"] for case, _ in cases) > 5
    assert any(
        tokens < case.prompt[request]
        for case, record in cases
        for step in record.steps
        for request, tokens in step.scheduled
    )
    assert {name for case, _ in cases for name in case.policy} == {
        "rank_waiting", "rank_running", "token_budget", "admit_limit",
    }  # fmt: skip
