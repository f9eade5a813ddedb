"""The serving simulator: a workload meets a policy in an engine whose decisions are vLLM's and whose clock is a model.

One step follows the other: what has arrived waits, the policy is asked (`engine_bridge.policy` says what and when),
the scheduler decides (`engine_bridge.scheduling` says how), the step takes the time that the cost model gives it, and
at its end tokens come out. While nothing runs or waits, the clock jumps to the next arrival.

    outcome = simulate(workload, FCFS, EngineSettings(blocks=27_000), cost)
    outcome.first_token - workload.arrival
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_bridge import layout
from engine_bridge.outcome import Outcome
from engine_bridge.policy import Policy, require_engine
from engine_bridge.scheduler import Scheduler
from engine_bridge.settings import EngineSettings
from engine_bridge.workload import Workload

Array = NDArray[Any]


class Cost(Protocol):
    """What the simulator reads of a `CostModel`."""

    @property
    def vector(self) -> Array:
        """The coefficients of `step_time.step_seconds`, float64."""


class NoProgress(RuntimeError):
    """A simulation that would never end: the policy keeps preempting what it admits."""


def simulate(
    workload: Workload,
    policy: Policy,
    settings: EngineSettings,
    cost: Cost,
    *,
    log: bool = False,
    fast_forward: bool = True,
    strict: bool = False,
    max_steps: int | None = None,
    concurrency: int | None = None,
) -> Outcome:
    """Serve a workload to its end.

    Args:
        workload: the requests.
        policy: who is asked.
        settings: the engine.
        cost: the clock.
        log: keep the logs of steps and events; each step is then done by itself.
        fast_forward: do runs of decode steps in which nothing else can happen in one go; the outcome is the same.
        strict: raise the first `InvalidAnswer` instead of going on without the answer.
        max_steps: give up after so many; by default ten for each token of the workload.
        concurrency: so many requests are under way at any time, whatever their arrival times; None: by these.

    Raises:
        ValueError: the workload is empty, a request does not fit into the KV cache alone, its prefix blocks are
            no multiple of the engine's, or the concurrency is below 1.
        UnsupportedFunction: the policy has a function that the simulator cannot carry out.
        NoProgress: it takes more than `max_steps`.
    """
    require_engine(policy, "sim")
    run = Scheduler(workload, policy, settings, log=log, forward=fast_forward, strict=strict, concurrency=concurrency)
    tokens = int(np.sum(workload.prompt) + np.sum(workload.output))
    _advance(run, np.ascontiguousarray(cost.vector, dtype=np.float64), 10 * tokens if max_steps is None else max_steps)
    return run.outcome()


def _advance(run: Scheduler, coefficients: Array, max_steps: int) -> None:
    """Serve all requests.

    Raises:
        NoProgress: it takes more than `max_steps`, or steps go by without a token.
    """
    advance, state = run.kernel.advance, run.state
    while True:
        reason = advance(
            run.requests, run.times, run.running, run.waiting, run.tables, run.slots, run.shared, run.pool, run.first,
            run.scheduled, run.gaps, run.steps, run.events, run.work, state, run.clock, run.settings, coefficients,
        )  # fmt: skip
        if reason == layout.DONE:
            return
        if reason == layout.STUCK or state[layout.STEPS] > max_steps:
            raise NoProgress(no_progress(run))
        if reason == layout.ASK:
            run.ask()
        else:
            run.grow()


def no_progress(run: Scheduler) -> str:
    """What to say of a run that never ends."""
    return (
        f"after {run.state[layout.STEPS]} steps {run.state[layout.RUN]} requests run and "
        f"{run.state[layout.WAIT]} wait; the policy keeps work from being finished"
    )
