"""The embedded engine on the CPU beside what it has to reach: `python -m tests.benchmarks engine`. One core, quiet."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from discovery.bench.contenders import known_policies
from engine_bridge.harness import StepRecords, errors, measure, median_metrics, predict, warm_up
from engine_bridge.policy import FCFS, Policy, load_policy
from engine_bridge.settings import EngineSettings
from engine_bridge.synthetic import synthetic
from engine_bridge.workload import Workload
from tests.benchmarks.bench_serving import show

if TYPE_CHECKING:
    from engine_bridge.torch_engine.engine import Engine

BATCH = 64
REPEATS = 3
BLOCKS = 4096
JUDGED = ("TTFT mean", "TTFT p50", "TPOT mean", "TPOT p50", "throughput")
"""Figures that the simulator has to meet within 20 %; the tails stand beside them."""


def main() -> None:
    """What a step costs outside the model, and how well the simulator foretells a run."""
    if find_spec("torch") is None:
        print("skipped: torch is not installed; `make test-engine` installs it")
        return
    from engine_bridge.torch_engine.engine import Engine
    from engine_bridge.torch_engine.opening import open_runner

    runner = open_runner("tiny", device="cpu", blocks=BLOCKS)
    engine = Engine(runner, EngineSettings(blocks=BLOCKS, block_size=runner.cache.block_size))
    overhead(engine)
    fidelity(engine)


def overhead(engine: Engine) -> None:
    """Microseconds of a step of 64 decodes that the model does not take: policy, scheduler, packing, bookkeeping."""
    workload = Workload.of("decodes", np.zeros(BATCH), np.full(BATCH, 64), np.full(BATCH, 200))
    for name, policy in (("fcfs", FCFS), ("sjf", read("sjf")), ("slai", read("slai"))):
        outside, whole = [], []
        for _ in range(REPEATS):
            log = engine.serve(workload, policy).step_log
            full = log["decodes"] == BATCH
            outside.append(1e6 * np.quantile((log["seconds"] - log["model_seconds"])[full], (0.5, 0.9)))
            whole.append(1e6 * np.median(log["model_seconds"][full]))
        middle, high = np.median(outside, axis=0)
        show(
            f"a step of {BATCH} decodes outside the model, {name}",
            f"{middle:.0f} µs median, {high:.0f} p90 (model {np.median(whole):,.0f})",
            "≤ 200 µs",
        )


def fidelity(engine: Engine) -> None:
    """Conversations in three rounds by turns, and the simulator with the clock fitted to those steps."""
    workload = synthetic("conversation", 30, 0).clipped(max_prompt=512, max_output=128)
    policies = {name: partial(nullcontext, read(name)) for name in ("fcfs", "sjf", "slai")}
    warm_up(engine, engine.settings, 512)
    records = StepRecords()
    runs = measure(engine, workload, policies, rounds=REPEATS, records=records)
    guesses = predict(workload, policies, engine.settings, records.fit("here"))
    for run in runs:
        found = errors(guesses[run.name], median_metrics(run.rounds))
        spread = [one.output_throughput for one in run.rounds]
        show(
            f"simulator against engine, {run.name}",
            ", ".join(f"{name} {100 * (found[name] or 0):+.0f} %" for name in JUDGED),
            f"within 20 %; throughput of the rounds {min(spread):,.0f} to {max(spread):,.0f} tok/s",
        )


def read(name: str) -> Policy:
    """A shipped policy, believed."""
    return load_policy(known_policies()[name])


if __name__ == "__main__":
    main()
