"""The serving simulator: a workload meets a policy in an engine whose decisions are vLLM's and whose clock is a model.

One step follows the other: what has arrived waits, the policy is asked (`engine_bridge.policy` says what and when),
the scheduler decides (`engine_bridge.scheduling` says how), the step takes the time that the cost model gives it, and
at its end tokens come out. While nothing runs or waits, the clock jumps to the next arrival.

    outcome = simulate(workload, FCFS, EngineSettings(blocks=27_000), cost)
    outcome.first_token - workload.arrival
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_bridge import layout
from engine_bridge.policy import InvalidAnswer, Policy, View, check_answer, require_engine
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

FUNCTIONS = ("rank_waiting", "rank_running", "token_budget", "admit_limit", "hold", "chunk", "layer_groups")
"""Functions in the order in which they are asked; number i is bit i of what `stepping.advance` asks for."""


class Cost(Protocol):
    """What the simulator reads of a `CostModel`."""

    @property
    def vector(self) -> Array:
        """The coefficients of `step_time.step_seconds`, float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The engine, in vLLM's terms where it has them.

    max_running: max_num_seqs. max_tokens: max_num_batched_tokens. block_size: tokens per KV block. blocks: KV blocks
    that requests can use; vLLM's num_gpu_blocks is one more, for its placeholder. prefix_cache:
    enable_prefix_caching. long_prefill: long_prefill_token_threshold, 0 for none. reserve: whether a request is
    admitted only if its whole sequence fits, not just its first chunk (scheduler_reserve_full_isl). watermark: share
    of the blocks that an admission leaves free while others run. window: how many waiting requests a policy sees.
    """

    max_running: int = 256
    max_tokens: int = 2048
    block_size: int = 16
    blocks: int = 27_000
    prefix_cache: bool = True
    long_prefill: int = 0
    reserve: bool = True
    watermark: float = 0.0
    window: int = 256

    def __post_init__(self) -> None:
        for name in ("max_running", "max_tokens", "block_size", "blocks", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"EngineSettings.{name} must be at least 1, not {getattr(self, name)}")
        if self.long_prefill < 0 or not 0 <= self.watermark < 1:
            raise ValueError(
                f"EngineSettings: long_prefill must be ≥ 0 and watermark in [0, 1), not {self.long_prefill}, "
                f"{self.watermark}"
            )


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
) -> Outcome:
    """Serve a workload to its end.

    Args:
        log: keep the logs of steps and events; each step is then done by itself.
        fast_forward: do runs of decode steps in which nothing else can happen in one go; the outcome is the same.
        strict: raise the first `InvalidAnswer` instead of going on without the answer.
        max_steps: give up after so many; by default ten for each token of the workload.

    Raises:
        ValueError: the workload is empty, a request does not fit into the KV cache alone, or its prefix blocks are
            no multiple of the engine's.
        UnsupportedFunction: the policy has a function that the simulator cannot carry out.
        NoProgress: it takes more than `max_steps`.
    """
    require_engine(policy, "sim")
    run = _Run(workload, policy, settings, cost, log=log, fast_forward=fast_forward, strict=strict)
    tokens = int(np.sum(workload.prompt) + np.sum(workload.output))
    run.run(10 * tokens if max_steps is None else max_steps)
    return run.outcome()


class _Run:
    """The state of one simulation, in the arrays that the compiled part works on."""

    def __init__(
        self,
        workload: Workload,
        policy: Policy,
        settings: EngineSettings,
        cost: Cost,
        *,
        log: bool,
        fast_forward: bool,
        strict: bool,
    ) -> None:
        from engine_bridge import pool, stepping  # numba takes half a second to import

        check_workload(workload, settings)
        self.kernel: ModuleType = stepping
        self.policy = policy
        self.strict = strict
        self.window = settings.window
        self.invalid = 0
        self.first_invalid = ""
        n = len(workload.prompt)
        self.shared, shared_keys = dense(workload.block_ids)
        ratio = workload.hash_block // settings.block_size if len(self.shared) else 1
        self.requests = make_requests(workload, settings, shared_keys * ratio, ratio)
        self.times = make_times(workload)
        self.facts = make_facts(workload)
        self.running = np.zeros(settings.max_running, dtype=np.int64)
        self.waiting = np.zeros(n, dtype=np.int64)
        longest = int((self.requests[layout.PROMPT] + self.requests[layout.OUTPUT]).max())
        most_blocks = min(-(-longest // settings.block_size), settings.blocks)
        self.tables = np.zeros((min(settings.max_running, n), most_blocks), dtype=np.int32)
        self.slots = np.arange(settings.max_running)
        self.pool = pool.make_pool(settings.blocks)
        self.first = np.full(self._keys(settings), -1, dtype=np.int32)
        self.scheduled = np.zeros((2, 2 * settings.max_running), dtype=np.int64)
        self.gaps = np.zeros((2, 4 * settings.max_running + (1 << 14)))
        self.steps = np.zeros((1024 if log else 1, len(STEP_COLUMNS)))
        self.events = np.zeros((4096 + 4 * settings.max_running if log else 1, 4), dtype=np.int64)
        self.work = np.zeros(4)
        self.state = np.zeros(layout.STATE_SIZE, dtype=np.int64)
        self.state[layout.FREE] = settings.blocks
        self.clock = np.zeros(layout.CLOCK_SIZE)
        self.settings = self._settings(settings, ratio, log=log, forward=fast_forward and not log)
        self.coefficients = np.ascontiguousarray(cost.vector, dtype=np.float64)

    def _keys(self, settings: EngineSettings) -> int:
        """How many contents of blocks there can be: the shared ones, and each request's own after those."""
        if not settings.prefix_cache:
            return 1
        size = settings.block_size
        last = self.requests[:, -1]
        return int(last[layout.OWN_KEYS] + (last[layout.PROMPT] + last[layout.OUTPUT]) // size + 1)

    def _settings(self, settings: EngineSettings, ratio: int, *, log: bool, forward: bool) -> Array:
        values = np.zeros(layout.SETTING_COUNT, dtype=np.int64)
        values[layout.MAX_RUNNING] = settings.max_running
        values[layout.MAX_TOKENS] = settings.max_tokens
        values[layout.BLOCK_SIZE] = settings.block_size
        values[layout.CACHE] = settings.prefix_cache
        values[layout.LONG_PREFILL] = settings.long_prefill
        values[layout.RESERVE] = settings.reserve
        values[layout.WATERMARK] = int(settings.watermark * (settings.blocks + 1))
        values[layout.RATIO] = ratio
        values[layout.HAS] = sum(1 << bit for bit, name in enumerate(FUNCTIONS) if name in self.policy.functions)
        values[layout.FORWARD] = forward
        values[layout.LOG] = log
        return values

    def run(self, max_steps: int) -> None:
        """Serve all requests.

        Raises:
            NoProgress: it takes more than `max_steps`, or steps go by without a token.
        """
        kernel = self.kernel
        while True:
            reason = kernel.advance(
                self.requests, self.times, self.running, self.waiting, self.tables, self.slots, self.shared, self.pool,
                self.first, self.scheduled, self.gaps, self.steps, self.events, self.work, self.state, self.clock,
                self.settings, self.coefficients,
            )  # fmt: skip
            if reason == layout.DONE:
                return
            if reason == layout.STUCK or self.state[layout.STEPS] > max_steps:
                raise NoProgress(
                    f"after {self.state[layout.STEPS]} steps {self.state[layout.RUN]} requests run and "
                    f"{self.state[layout.WAIT]} wait; the policy keeps work from being finished"
                )
            if reason == layout.ASK:
                self._ask()
            else:
                self._grow()

    def _ask(self) -> None:
        """Put all questions that are due."""
        asked = int(self.state[layout.DUE])
        for bit, function in enumerate(FUNCTIONS):
            if asked >> bit & 1:
                view = self._view(1 << bit)
                try:
                    self._apply(function, check_answer(function, self.policy.ask(function, view), view))
                except InvalidAnswer as error:
                    if self.strict:
                        raise
                    self.invalid += 1
                    self.first_invalid = self.first_invalid or str(error)

    def _view(self, bit: int) -> View:
        return View(*self.kernel.show(
            self.requests, self.times, self.facts, self.running, self.waiting, self.shared, self.pool, self.first,
            self.state, self.clock, self.settings, bit, self.window,
        ))  # fmt: skip

    def _apply(self, function: str, answer: Array) -> None:
        """Carry out a checked answer."""
        kernel, state = self.kernel, self.state
        if function == "rank_waiting":
            kernel.put_in_order(self.waiting, int(state[layout.HEAD]), np.argsort(answer, kind="stable"))
        elif function == "rank_running":
            kernel.put_in_order(self.running, 0, np.argsort(answer, kind="stable"))
        elif function == "token_budget":
            state[layout.BUDGET] = answer
        elif function == "admit_limit":
            state[layout.LIMIT] = answer
        elif function == "hold":
            self.requests[layout.HELD, self.running[: len(answer)]] = answer
        elif function == "chunk":
            runs = int(state[layout.RUN])
            places = (int(state[layout.HEAD]) + np.arange(len(answer) - runs)) % len(self.waiting)
            self.requests[layout.CHUNK, self.running[:runs]] = answer[:runs]
            self.requests[layout.CHUNK, self.waiting[places]] = answer[runs:]
        else:
            state[layout.GROUPS] = answer

    def _grow(self) -> None:
        """Make the logs twice as long."""
        self.gaps = np.concatenate([self.gaps, np.zeros_like(self.gaps)], axis=1)
        if self.settings[layout.LOG]:
            self.steps = np.concatenate([self.steps, np.zeros_like(self.steps)])
            self.events = np.concatenate([self.events, np.zeros_like(self.events)])

    def outcome(self) -> Outcome:
        """The result, once all requests are finished."""
        state, clock = self.state, self.clock
        busy = float(clock[layout.BUSY])
        blocks = self.pool.shape[1] - 1
        logged = bool(self.settings[layout.LOG])
        columns = self.steps[: state[layout.STEP_ROWS]].T.copy()
        return Outcome(
            first_token=self.times[layout.FIRST].copy(),
            finish=self.times[layout.FINISH].copy(),
            longest_gap=self.times[layout.LONGEST].copy(),
            preemptions=self.requests[layout.PREEMPTIONS].copy(),
            cached=self.requests[layout.HITS].copy(),
            gaps=self.gaps[:, : state[layout.GAPS]].T.copy(),
            steps=int(state[layout.STEPS]),
            asked_steps=int(state[layout.STEPS_ASKED]),
            seconds=float(clock[layout.NOW]),
            busy_seconds=busy,
            mean_kv=float(clock[layout.HELD_SECONDS]) / (busy * blocks) if busy else 0.0,
            peak_kv=int(state[layout.PEAK]) / blocks,
            fallbacks=int(state[layout.FALLBACKS]),
            invalid=self.invalid,
            first_invalid=self.first_invalid,
            step_log=dict(zip(STEP_COLUMNS, columns, strict=True)) if logged else None,
            event_log=self.events[: state[layout.EVENT_ROWS]].copy() if logged else None,
        )


def check_workload(workload: Workload, settings: EngineSettings) -> None:
    """Raise ValueError for a workload that this engine cannot serve to its end."""
    if len(workload.prompt) == 0:
        raise ValueError(f"workload {workload.name} is empty; give it at least one request")
    need = -(-(workload.prompt + workload.output - 1) // settings.block_size)
    if need.max() > settings.blocks:
        raise ValueError(
            f"workload {workload.name}: request {int(need.argmax())} needs {need.max()} KV blocks, more than the "
            f"{settings.blocks} there are; clip the workload or give the engine more blocks"
        )
    if settings.prefix_cache and len(workload.block_ids) and workload.hash_block % settings.block_size:
        raise ValueError(
            f"workload {workload.name}: prefix blocks of {workload.hash_block} tokens are no multiple of the engine's "
            f"block size {settings.block_size}; choose one that divides them"
        )


def dense(ids: Array) -> tuple[Array, int]:
    """`ids` as numbers from 0 on, equal where they were equal, and how many there are."""
    known, numbers = np.unique(np.asarray(ids, dtype=np.int64), return_inverse=True)
    return np.ascontiguousarray(numbers, dtype=np.int64), len(known)


def make_requests(workload: Workload, settings: EngineSettings, shared_keys: int, ratio: int) -> Array:
    """The integers that the compiled part keeps about each request; shape (layout.REQUEST_ROWS, n)."""

    requests = np.zeros((layout.REQUEST_ROWS, len(workload.prompt)), dtype=np.int64)
    requests[layout.PROMPT] = workload.prompt
    requests[layout.OUTPUT] = workload.output
    offsets = np.asarray(workload.block_offsets, dtype=np.int64)
    full = requests[layout.PROMPT] // settings.block_size
    requests[layout.SHARED_FROM] = offsets[:-1]
    requests[layout.SHARED] = np.minimum(np.diff(offsets) * ratio, full)
    whole = (requests[layout.PROMPT] + requests[layout.OUTPUT]) // settings.block_size + 1
    own = whole - requests[layout.SHARED]
    requests[layout.OWN_KEYS] = shared_keys + np.cumsum(own) - own - requests[layout.SHARED]
    requests[layout.SLOT] = -1
    requests[layout.HITS] = -1
    requests[layout.CHUNK] = -1
    return requests


def make_times(workload: Workload) -> Array:
    """The times that the compiled part keeps about each request; shape (layout.TIME_ROWS, n)."""

    times = np.full((layout.TIME_ROWS, len(workload.prompt)), np.nan)
    times[layout.ARRIVAL] = workload.arrival
    times[layout.LAST] = workload.arrival
    times[layout.LONGEST] = 0.0
    return times


def make_facts(workload: Workload) -> Array:
    """What views show of a request and nothing changes: predicted, ttft_due, tpot, priority, group; shape (5, n)."""
    due = np.asarray(workload.arrival) + workload.ttft
    return np.array([workload.predicted, due, workload.tpot, workload.priority, workload.group], dtype=np.float64)
