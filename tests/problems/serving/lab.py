"""Small views, workloads and instances for the tests of serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine_bridge.online import simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Policy, View, load_policy, make_view
from engine_bridge.workload import Workload
from problems.base import Instance
from problems.serving.instances import CostVector, instance_of, settings_of, traffic_of

POLICIES = Path(__file__).parents[3] / "problems" / "serving" / "policies"

ENGINE = {
    "now": 10.0,
    "free_blocks": 1000,
    "total_blocks": 1000,
    "block_size": 16,
    "last_step": 0.01,
    "max_tokens": 2048,
    "max_running": 256,
}
RUNNING = {"prompt": 100, "computed": 100, "output": 1, "blocks": 7, "is_running": 1}
"""A request that decodes."""
WAITING = {"prompt": 100, "computed": 0, "output": 0, "blocks": 0, "is_running": 0}
SHOWN = {
    "arrival": 9.0,
    "cached": 0,
    "predicted": 50,
    "ttft_due": 11.0,
    "tpot": 0.1,
    "priority": 0,
    "group": -1,
    "last": 9.9,
}


def view_of(
    running: Sequence[Mapping[str, float]] = (),
    waiting: Sequence[Mapping[str, float]] = (),
    queue: int = 0,
    **more: Any,
) -> View:
    """A view of running (decoding, unless said otherwise) and waiting requests; fields left out have usual values.

    `queue`: how many wait, if more than are shown.
    """
    shown = [{**SHOWN, **RUNNING, **each} for each in running] + [{**SHOWN, **WAITING, **each} for each in waiting]
    names = {*SHOWN, *WAITING}
    vectors = {name: [each[name] for each in shown] for name in names}
    counts = {"waiting": max(queue, len(waiting)), "running": len(running)}
    return make_view(**{"id": range(len(shown)), **vectors, **ENGINE, **counts, **more})


def policy(name: str) -> Policy:
    """A baseline, freshly loaded."""
    return load_policy(POLICIES / f"{name}.py")


def order(name: str, view: View, function: str = "rank_waiting") -> list[int]:
    """The order in which a baseline puts the requests of a view."""
    return np.argsort(policy(name).ask(function, view), kind="stable").tolist()  # type: ignore[no-any-return]


def answer(name: str, function: str, view: View) -> Any:
    """A baseline's answer as numbers."""
    return policy(name).ask(function, view).tolist()


def serve(instance: Instance, by: Policy = FCFS, **more: Any) -> Outcome:
    """The simulator's outcome for an instance."""
    return simulate(traffic_of(instance), by, settings_of(instance), CostVector(instance["cost"]), strict=True, **more)


def small(
    arrival: Sequence[float], prompt: Sequence[int], output: Sequence[int], level: str = "strict", **more: Any
) -> Instance:
    """An instance of a few requests on the standard engine; predictions are true."""
    return instance_of("small", Workload.of("small", arrival, prompt, output, prediction_error=None, **more), level)


def changed(instance: Instance, **arrays: Any) -> Instance:
    """The same with other arrays."""
    return Instance(instance.name, {**instance.arrays, **{name: np.asarray(each) for name, each in arrays.items()}})
