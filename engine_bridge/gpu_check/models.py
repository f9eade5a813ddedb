"""A whole model on the device: single steps, then policies by turns, then the simulator beside them."""

from __future__ import annotations

from time import monotonic

import numpy as np

from engine_bridge.gpu_check.part import Part
from engine_bridge.gpu_check.policies import Contest, find_policies
from engine_bridge.gpu_check.steps import measure_steps
from engine_bridge.settings import EngineSettings
from engine_bridge.synthetic import synthetic
from engine_bridge.torch_engine.engine import Engine
from engine_bridge.torch_engine.errors import EngineError
from engine_bridge.torch_engine.opening import open_runner
from engine_bridge.torch_engine.runner import Runner, RunnerSettings
from engine_bridge.workload import Workload

REQUESTS, QUICK_REQUESTS = 120, 16
LOAD = 0.7
"""Of the rate that the steps measured would allow if prompts and decodes came one after the other."""
TIGHTNESS = 5.0
"""Service levels are so many times what an idle engine takes, as strict ones are for Sarathi-Serve."""
SEED = 0


def dense(part: Part) -> None:
    """Llama-3-8B's shape, all policies."""
    _run(part, "tiny" if part.quick else "llama3-8b")


def moe(part: Part) -> None:
    """A mixture of experts, for which layered prefill was made."""
    _run(part, "tiny-moe" if part.quick else "qwen3-30b-a3b")


def _run(part: Part, model: str) -> None:
    """Emit `model`, `decode`, `prefill`, and what `Contest` does."""
    started = monotonic()
    # As many KV blocks as 256 sequences of 1k need, with some to spare, so that the cache is not what is measured.
    settings = RunnerSettings(max_running=32 if part.quick else 256)
    runner = open_runner(model, device=part.device, blocks=2048 if part.quick else None, seed=SEED, settings=settings)
    weights = runner.model.weights
    part.say(f"{model}: opened in {monotonic() - started:.1f} s, {runner.cache.blocks} KV blocks")
    part.emit(
        "model",
        value={
            "name": model,
            "parameters": runner.model.shape.parameter_count,
            "dtype": str(weights.dtype).removeprefix("torch."),
            "attention": runner.model.backend.name,
            "graphs": runner.settings.graphs and runner.model.graphs,
            "blocks": runner.cache.blocks,
            "seconds_to_open": monotonic() - started,
            "seed": SEED,
        },
    )
    steps = measure_steps(part, runner)
    if not steps["decode"] or not steps["prefill"]:
        raise EngineError(f"model {model}: the GPU has no room for the steps measured; take a larger one")
    workload = _workload(part, steps["decode"][-1], steps["prefill"][0])
    engine = Engine(
        runner,
        EngineSettings(
            blocks=runner.cache.blocks,
            block_size=runner.cache.block_size,
            max_running=runner.settings.max_running,
            max_tokens=runner.settings.max_tokens,
        ),
    )
    Contest(part, engine, _experts(runner), workload, find_policies()).run()


def _experts(runner: Runner) -> tuple[int, int]:
    """Experts, and how many of them a token uses."""
    return runner.model.shape.experts, runner.model.shape.experts_per_token


def _workload(part: Part, decode: dict[str, float], prefill: dict[str, float]) -> Workload:
    """A slice of conversations at a rate, and with service levels, that follow from the steps measured."""
    if part.quick:
        requests = synthetic("conversation", QUICK_REQUESTS, SEED).clipped(max_prompt=256, max_output=16)
    else:
        requests = synthetic("conversation", REQUESTS, SEED).clipped(max_prompt=4096, max_output=512)
    token, step = 1 / prefill["tokens_per_second"], 1e-3 * decode["ms"]
    alone = requests.prompt * token + requests.output * step / decode["batch"]
    rate = LOAD / float(alone.mean())
    part.say(f"workload: {len(requests)} requests of conversation at {rate:.3g}/s")
    shortest = 512 * token
    levels = TIGHTNESS * np.maximum(requests.prompt * token, shortest), TIGHTNESS * step
    part.emit(
        "workload",
        value={
            "name": requests.name,
            "requests": len(requests),
            "rate": rate,
            "prompt_tokens": int(requests.prompt.sum()),
            "output_tokens": int(requests.output.sum()),
            "predictions": requests.predictions,
            "tpot_objective_s": levels[1],
            "ttft_objective_median_s": float(np.median(levels[0])),
        },
    )
    return requests.scaled(rate).with_slos(*levels)
