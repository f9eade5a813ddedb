"""What the tests with a running vLLM share: a model, requests, exports, and the order that is to be expected."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine_bridge import layout
from engine_bridge.cost import Coefficients, CostModel
from engine_bridge.online import simulate
from engine_bridge.policy import FCFS, Policy
from engine_bridge.settings import EngineSettings
from engine_bridge.workload import Workload

ROOT = Path(__file__).parents[2]
DISCOVER = ROOT / ".venv/bin/discover"
CHAMPIONS = ROOT / "runs/champions/serving"
TTFT = 2.0
"""Objective of every request in seconds."""
EPOCH = 3600.0
"""When all requests arrive: policies may divide by times."""
BLOCK = 32
MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 1024,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "float32",
}


def write_model(folder: Path) -> Path:
    """A model folder; its weights are made up by vLLM."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(MODEL))
    return folder


def export(policy: str | Path, folder: Path) -> Path:
    """The folder that `discover export POLICY FOLDER --to vllm` makes."""
    command = [str(DISCOVER), "export", str(policy), str(folder), "--to", "vllm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


def draw_requests(count: int, seed: int = 1, *, longest: int = 40) -> list[dict[str, Any]]:
    """Requests as plain data: prompts without a common prefix, lengths, and predictions of them that are all different.

    The predictions order the requests other than their lengths do.
    """
    rng = np.random.default_rng(seed)
    output = rng.integers(4, longest, count)
    predicted = np.argsort(np.argsort(output * rng.uniform(0.5, 2.0, count))) * 3 + 5
    return [
        {
            "prompt": [2 + number, *rng.integers(2, 500, int(rng.integers(7, 120))).tolist()],
            "output": int(output[number]),
            "xargs": {"predicted": int(predicted[number]), "ttft": TTFT},
        }
        for number in range(count)
    ]


def simulated_order(requests: Sequence[dict[str, Any]], policy: Policy = FCFS, **settings: int) -> list[int]:
    """The order in which our simulator finishes `requests`, all there from the start."""
    workload = Workload.of(
        "all at once",
        np.full(len(requests), EPOCH),
        [len(request["prompt"]) for request in requests],
        [request["output"] for request in requests],
        predicted=[request["xargs"]["predicted"] for request in requests],
        ttft=np.full(len(requests), TTFT),
    )
    cost = CostModel(name="a hundredth of a second a step", coefficients=Coefficients(fixed=0.01))
    engine = EngineSettings(block_size=BLOCK, blocks=10_000, **settings)
    log = simulate(workload, policy, engine, cost, log=True, strict=True).event_log
    assert log is not None
    return [request for _, request, _, kind in log.tolist() if kind == layout.FINISHED]
