"""What happened to a workload in an engine, simulated or real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from engine_bridge.workload import Workload

Array = NDArray[Any]

STEP_COLUMNS = (
    "start",
    "seconds",
    "prefill_tokens",
    "prefill_attention",
    "decodes",
    "decode_kv",
    "batch",
    "layer_groups",
    "free_blocks",
    "running",
    "waiting",
)
"""Columns of the log of steps, as `engine_bridge.step_log` reads them; the last three as they are after the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to a workload; arrays of shape (n,) in its order, times in seconds on its clock.

    first_token, finish; longest_gap: the longest time between two tokens of a request, 0 for a single token;
    preemptions; cached: prompt tokens found in the prefix cache at its first admission.
    gaps: every time between two tokens of one request, as rows (seconds, how many requests), shape (k, 2).
    steps, asked_steps: how many, and in how many the policy was asked; seconds: the end of the last step;
    busy_seconds: all steps together; mean_kv, peak_kv: share of the blocks held, over the busy time.
    fallbacks: steps done again as FCFS, since the policy's answers scheduled nothing; invalid: answers that were none;
    first_invalid: what was wrong with the first.
    step_log: the columns `STEP_COLUMNS`, one number a step (`StepLog.of` reads them); event_log: rows (step, request,
    tokens, kind), kinds as in `layout`; both None unless asked for.
    arrival: when requests arrived, shape (n,), where their concurrency was fixed; None: at the workload's times.
    """

    first_token: Array
    finish: Array
    longest_gap: Array
    preemptions: Array
    cached: Array
    gaps: Array
    steps: int
    asked_steps: int
    seconds: float
    busy_seconds: float
    mean_kv: float
    peak_kv: float
    fallbacks: int
    invalid: int
    first_invalid: str
    step_log: dict[str, Array] | None = None
    event_log: Array | None = None
    arrival: Array | None = None

    def served(self, workload: Workload) -> Workload:
        """The workload with the arrival times that it was served with."""
        return workload if self.arrival is None else replace(workload, arrival=self.arrival)
