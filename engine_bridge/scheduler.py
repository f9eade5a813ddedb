"""The scheduler, as the simulator and the embedded engine share it: who waits, who runs, and what each step does.

    scheduler = Scheduler(workload, policy, settings)
    while scheduler.unfinished:
        scheduler.arrive(now)
        decision = scheduler.decide()  # asks the policy; the engine does what was decided, which takes its time
        scheduler.commit(end)

The simulator goes through the same steps in compiled code (`stepping.advance`), on the clock of a cost model. The
decisions are the kernels' in both, so that they are the same wherever the times are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge import layout
from engine_bridge.outcome import STEP_COLUMNS, Outcome
from engine_bridge.policy import InvalidAnswer, Policy, View, check_answer
from engine_bridge.settings import EngineSettings, check_workload
from engine_bridge.workload import Workload

Array = NDArray[Any]

FUNCTIONS = ("rank_waiting", "rank_running", "token_budget", "admit_limit", "hold", "chunk", "layer_groups")
"""Functions in the order in which they are asked; number i is bit i of `state[DUE]`."""


def _nobody() -> Array:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one step does; int64 arrays, those of one line of the same length.

    requests, tokens, computed: who is computed in this step through all layers, how many tokens, after how many.
    cohort, cohort_tokens, cohort_computed: likewise the requests whose tokens are on their way through groups of
    layers, those preempted on the way included; in this step they pass group `group` of `groups`, from 0 on. Without
    any, there is one group.
    """

    requests: Array
    tokens: Array
    computed: Array
    cohort: Array = field(default_factory=_nobody)
    cohort_tokens: Array = field(default_factory=_nobody)
    cohort_computed: Array = field(default_factory=_nobody)
    group: int = 0
    groups: int = 1


class Scheduler:
    """The state of one run of a workload, in the arrays that the compiled part works on.

    Args:
        workload: the requests.
        policy: who is asked, of those that the engine can carry out.
        settings: the engine.
        log: keep the logs of steps and events.
        forward: let the simulator do runs of decode steps in one go.
        strict: raise the first `InvalidAnswer` instead of going on without the answer.
        concurrency: so many requests are under way at any time, whatever their arrival times; None: by these.

    Raises:
        ValueError: the engine cannot serve the workload, or the concurrency is below 1.
    """

    def __init__(
        self,
        workload: Workload,
        policy: Policy,
        settings: EngineSettings,
        *,
        log: bool = True,
        forward: bool = False,
        strict: bool = False,
        concurrency: int | None = None,
    ) -> None:
        from engine_bridge import pool, stepping  # numba takes half a second to import

        check_workload(workload, settings)
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; let at least 1 request be under way")
        self.kernel = stepping
        self.policy = policy
        self.strict = strict
        self.window = settings.window
        self.invalid = 0
        self.first_invalid = ""
        n = len(workload.prompt)
        self.shared, shared_keys = dense(workload.block_ids)
        ratio = workload.hash_block // settings.block_size if len(self.shared) else 1
        self.requests = make_requests(workload, settings, shared_keys * ratio, ratio)
        self.times = make_times(workload, concurrency or 0)
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
        self.state[layout.SENT] = concurrency or 0
        self.clock = np.zeros(layout.CLOCK_SIZE)
        self.settings = self._settings(settings, ratio, log=log, forward=forward and not log)
        self.settings[layout.CONCURRENCY] = concurrency or 0
        self.finished = 0
        self._cohort = (_nobody(), _nobody(), _nobody())

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

    @property
    def unfinished(self) -> int:
        """How many requests have not finished, those to come included; counted by `commit`."""
        return len(self.waiting) - self.finished

    @property
    def busy(self) -> bool:
        """Whether anybody runs or waits."""
        return bool(self.state[layout.RUN] or self.state[layout.WAIT])

    @property
    def now(self) -> float:
        """The time: when the last step ended, or what `arrive` was told since."""
        return float(self.clock[layout.NOW])

    @property
    def next_arrival(self) -> float:
        """When the next request arrives; infinite if none is known of."""
        place = int(self.state[layout.ARRIVED])
        return float(self.times[layout.ARRIVAL, place]) if place < self.times.shape[1] else np.inf

    def arrive(self, now: float | None = None) -> None:
        """Let what has arrived by `now` wait; by the end of the last step, if nothing is said."""
        if now is not None:
            self.clock[layout.NOW] = now
        self.kernel.receive(self.times, self.waiting, self.state, self.clock)

    def hand_in(self, request: int, ready: float) -> None:
        """Let a request wait whose prompt is computed elsewhere and whose first token came out at time `ready`.

        When it is admitted, it has blocks for its prompt, whose KV the engine has to bring there.
        """
        self.requests[layout.COMPUTED, request] = self.requests[layout.PROMPT, request]
        self.requests[layout.GENERATED, request] = 1
        self.times[layout.FIRST, request] = self.times[layout.LAST, request] = ready
        self.waiting[(self.state[layout.HEAD] + self.state[layout.WAIT]) % len(self.waiting)] = request
        self.state[layout.WAIT] += 1

    def decide(self) -> Decision:
        """Ask the policy and decide the next step, whose start is `now`.

        Raises:
            InvalidAnswer: the policy has given one, and the scheduler is strict.
        """
        if self.kernel.full(self.gaps, self.steps, self.events, self.state, self.settings):
            self.grow()
        if self.kernel.begin(self.state, self.settings):
            self.ask()
        self.state[layout.ASKED] = 0
        count = self.kernel.decide(
            self.requests, self.running, self.waiting, self.tables, self.slots, self.shared, self.pool, self.first,
            self.scheduled, self.events, self.work, self.state, self.clock, self.settings,
        )  # fmt: skip
        requests, tokens = self.scheduled[0, :count].copy(), self.scheduled[1, :count].copy()
        if self.state[layout.PASSES] > 1:
            return self._layered(requests, tokens)
        return Decision(requests, tokens, self.requests[layout.COMPUTED, requests])

    def _layered(self, requests: Array, tokens: Array) -> Decision:
        """The decision of a step in which prompts go through a group of layers; `tokens` are 0 where they set off."""
        groups = int(self.state[layout.PASSES])
        group = groups - 1 - int(self.state[layout.COHORT])
        if group == 0:
            boarded = requests[tokens == 0]
            computed = self.requests[layout.COMPUTED]
            self._cohort = (boarded, self.requests[layout.FLIGHT, boarded], computed[boarded])
        # At the end of the way those that alight are entered after the decodes.
        whole = tokens > 0 if group < groups - 1 else np.arange(len(tokens)) < self.work[2]
        requests, tokens = requests[whole], tokens[whole]
        return Decision(requests, tokens, self.requests[layout.COMPUTED, requests], *self._cohort, group, groups)

    def commit(self, end: float) -> int:
        """Let the step that was decided end at time `end`; how many requests finished in it."""
        finished: int = self.kernel.commit(
            self.requests, self.times, self.running, self.tables, self.slots, self.pool, self.scheduled, self.gaps,
            self.steps, self.events, self.work, self.state, self.clock, self.settings,
            end - self.now, end,
        )  # fmt: skip
        self.finished += finished
        return finished

    def ask(self) -> None:
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

    def grow(self) -> None:
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
            arrival=self.times[layout.ARRIVAL].copy() if self.settings[layout.CONCURRENCY] else None,
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


def make_times(workload: Workload, concurrency: int) -> Array:
    """The times that the compiled part keeps about each request; shape (layout.TIME_ROWS, n).

    At fixed concurrency the first requests arrive at time 0 and nobody knows when the others will.
    """
    times = np.full((layout.TIME_ROWS, len(workload.prompt)), np.nan)
    times[layout.ARRIVAL] = workload.arrival
    if concurrency:
        times[layout.ARRIVAL] = np.where(np.arange(len(workload.prompt)) < concurrency, 0.0, np.inf)
    times[layout.LAST] = times[layout.ARRIVAL]
    times[layout.LONGEST] = 0.0
    return times


def make_facts(workload: Workload) -> Array:
    """What views show of a request and nothing changes: prediction, both objectives, priority, group; shape (5, n)."""
    rows = (workload.predicted, workload.ttft, workload.tpot, workload.priority, workload.group)
    return np.array(rows, dtype=np.float64)
