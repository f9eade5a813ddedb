"""Exported policies in vLLM's offline interface, with a real model on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine_bridge.policy import FCFS, Policy, load_policy
from tests.vllm.offline import Offline
from tests.vllm.world import draw_requests, simulated_order

REQUESTS = draw_requests(24)
SIMULATED = {"max_running": 3, "max_tokens": 512}
SETTINGS = {"max_num_seqs": 3, "max_num_batched_tokens": 512, "max_model_len": 512, "async_scheduling": False}


@pytest.fixture(scope="module")
def served(model: Path, sjf: Path, champion: Path) -> dict[str, tuple[Policy, dict[str, Any]]]:
    """Each policy, and what vLLM made of the requests with it."""
    folders = {"fcfs": None, "sjf": sjf, "champion": champion}

    def serve(folder: Path | None) -> dict[str, Any]:
        with Offline(model, folder, SETTINGS) as vllm:
            return vllm.serve(REQUESTS)

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(folders, pool.map(serve, folders.values()), strict=True))
    return {
        name: (FCFS if folder is None else load_policy(folder / "policy.py"), found[name])
        for name, folder in folders.items()
    }


@pytest.mark.parametrize("name", ["fcfs", "sjf", "champion"])
def test_requests_finish_in_the_order_that_the_simulator_predicts(served: dict[str, Any], name: str) -> None:
    """With the synchronous scheduler, whose steps the simulator makes: the very same order."""
    policy, result = served[name]
    assert result["order"] == simulated_order(REQUESTS, policy, **SIMULATED)


@pytest.mark.parametrize("name", ["sjf", "champion"])
def test_a_policy_changes_the_order_and_no_token(served: dict[str, Any], name: str) -> None:
    """Greedy outputs are those of vLLM's own first come, first served."""
    fcfs, found = served["fcfs"][1], served[name][1]
    assert found["order"] != fcfs["order"]
    assert found["tokens"] == fcfs["tokens"]
    assert [len(tokens) for tokens in found["tokens"]] == [request["output"] for request in REQUESTS]
