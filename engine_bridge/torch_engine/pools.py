"""Two pools in one process: prompts are computed in the one, decodes in the other, which takes their KV over.

As in DistServe (Zhong et al., OSDI 2024), but on one device: each pool has its own KV blocks, scheduler and steps, and
the two take turns. A request whose prompt is done waits for the pool of decodes, which pulls its KV when it admits it;
until then it keeps its blocks in the first pool, so that prompts stop when decodes do not keep up.

    engine = PoolEngine(runner, settings, share=0.4)
    outcome = engine.serve(workload, policy)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine_bridge import layout, pool
from engine_bridge.online import NoProgress, no_progress
from engine_bridge.outcome import Outcome
from engine_bridge.policy import Policy, require_engine
from engine_bridge.scheduler import Decision, Scheduler
from engine_bridge.settings import EngineSettings
from engine_bridge.torch_engine.clock import Clock, RealClock
from engine_bridge.torch_engine.engine import STEPS_PER_TOKEN, Loop, StepRunner, check_lengths
from engine_bridge.torch_engine.tokens import Tokens
from engine_bridge.workload import Workload

Array = NDArray[Any]

Copy = Callable[[Array, Array], object]
"""Copies the KV of blocks (second) into others (first); int64, shape (n,) each."""


class PoolEngine:
    """Serves as `engine.Engine` does, in two pools; the policy is asked for both.

    Args:
        runner: computes the steps of both.
        settings: the engine as a whole.
        share: of its blocks, for the pool of prompts.
        copy: by default within the runner's cache.
    """

    tokens: Tokens

    def __init__(self, runner: StepRunner, settings: EngineSettings, share: float, copy: Copy | None = None) -> None:
        first = min(max(1, round(share * settings.blocks)), settings.blocks - 1)
        self.runner = runner
        self.prefill = replace(settings, blocks=first)
        self.decode = replace(settings, blocks=settings.blocks - first)
        self.copy = copy or _within(runner)

    def serve(
        self,
        workload: Workload,
        policy: Policy,
        *,
        clock: Clock | None = None,
        concurrency: int | None = None,
        strict: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> Outcome:
        """Serve a workload to its end; arguments and errors as in `Engine.serve`.

        Returns:
            The outcome, without events; its step log has the columns `model_seconds` and `pool` more: 0 for prompts.
        """
        require_engine(policy, "torch")
        check_lengths(workload, self.runner.model.shape)
        self.tokens = Tokens(workload, self.runner.model.shape.vocab)
        serving = _Serving(self, workload, policy, clock or RealClock(), concurrency, strict)
        serving.run(progress or (lambda _: None))
        return serving.outcome()


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A request between the pools: the blocks that its KV is in, and when its first token came out."""

    blocks: Array
    ready: float


class _Serving:
    """One run."""

    def __init__(
        self,
        engine: PoolEngine,
        workload: Workload,
        policy: Policy,
        clock: Clock,
        concurrency: int | None,
        strict: bool,
    ) -> None:
        self.workload = workload
        self.clock = clock
        self.copy = engine.copy
        self.offset = engine.prefill.blocks
        self.concurrency = concurrency
        prompts_only = replace(workload, output=np.ones_like(workload.output))
        self.first = Scheduler(prompts_only, policy, engine.prefill, strict=strict, concurrency=concurrency)
        self.first.settings[layout.CONCURRENCY] = 0  # the next is sent when one has finished, not its prompt
        self.second = Scheduler(workload, policy, engine.decode, strict=strict)
        self.second.state[layout.ARRIVED] = len(workload)  # they come from the first pool only
        self.prompts = Loop(engine.runner, self.first, engine.tokens)
        self.decodes = Loop(engine.runner, self.second, engine.tokens, self.offset)
        self.on_the_way: dict[int, _Parcel] = {}
        self.finished = 0
        self.empty_turns = 0
        self.most_steps = STEPS_PER_TOKEN * int(np.sum(workload.prompt) + np.sum(workload.output))

    def run(self, progress: Callable[[int], object]) -> None:
        """Let the pools take turns until all requests are finished.

        Raises:
            NoProgress: they never will be.
        """
        while self.finished < len(self.workload):
            self.first.arrive(self.clock.now())
            if not self.first.busy and not self.second.busy:
                self.clock.wait_until(self.first.next_arrival)
                self.first.arrive(max(self.clock.now(), self.first.next_arrival))
            before = self.finished
            if self.first.busy:
                self._compute_prompts()
            if self.second.busy:
                self._compute_decodes()
            if self.finished > before:
                progress(self.finished)
            self._refuse_standstill(int(self.first.state[layout.STEPS] + self.second.state[layout.STEPS]))

    def _compute_prompts(self) -> None:
        decision = self.first.decide()
        self.prompts.compute(decision)
        leaving = _leaving(self.first, decision)
        parcels = {request: self._hold(request) for request in leaving}
        end = self.clock.now()
        self.first.commit(end)
        for request, blocks in parcels.items():
            if self.workload.output[request] == 1:
                self._let_go(blocks)
                self._finish(1, end)
            else:
                self.on_the_way[request] = _Parcel(blocks, end)
                self.second.hand_in(request, end)

    def _compute_decodes(self) -> None:
        self.second.arrive(self.clock.now())
        decision = self.second.decide()
        for request in decision.requests.tolist():
            if request in self.on_the_way:
                self._pull(request, self.on_the_way.pop(request))
        self.decodes.compute(decision)
        end = self.clock.now()
        self._finish(self.second.commit(end), end)

    def _finish(self, count: int, end: float) -> None:
        self.finished += count
        if self.concurrency and count:
            self.first.kernel.send_next(self.first.times, self.first.state, count, end)

    def _hold(self, request: int) -> Array:
        """Keep the blocks of a request that leaves the first pool."""
        count = self.first.requests[layout.BLOCKS, request]
        blocks = self.first.tables[self.first.requests[layout.SLOT, request], :count].copy()
        for block in blocks:
            pool.touch(self.first.pool, self.first.state, block)
        return np.asarray(blocks)

    def _let_go(self, blocks: Array) -> None:
        pool.give_back(self.first.pool, self.first.state, blocks, len(blocks))

    def _pull(self, request: int, parcel: _Parcel) -> None:
        """Bring the KV of a request that the second pool has just admitted there."""
        own = self.second.tables[self.second.requests[layout.SLOT, request], : len(parcel.blocks)]
        self.copy(own.astype(np.int64) + self.offset, parcel.blocks.astype(np.int64))
        self._let_go(parcel.blocks)

    def _refuse_standstill(self, steps: int) -> None:
        """End a run in which nobody is scheduled in either pool, turn after turn; prompts alone may have to wait."""
        pools = (self.first, self.second)
        scheduled = any(each.state[layout.STEPS] and not each.state[layout.EMPTY] for each in pools if each.busy)
        self.empty_turns = 0 if scheduled or not steps else self.empty_turns + 1
        if self.empty_turns > len(self.workload) + 1 or steps > self.most_steps:
            raise NoProgress(no_progress(self.first if self.first.busy else self.second))

    def outcome(self) -> Outcome:
        """What happened, in both pools together."""
        one, two = self.first.outcome(), self.second.outcome()
        blocks = np.array([self.first.pool.shape[1] - 1, self.second.pool.shape[1] - 1])
        busy = np.array([one.busy_seconds, two.busy_seconds])
        held = np.array([one.mean_kv, two.mean_kv]) * busy * blocks
        single = self.workload.output == 1
        return replace(
            two,
            first_token=one.first_token,
            finish=np.where(single, one.finish, two.finish),
            preemptions=one.preemptions + two.preemptions,
            cached=one.cached,
            steps=one.steps + two.steps,
            asked_steps=one.asked_steps + two.asked_steps,
            seconds=max(one.seconds, two.seconds),
            busy_seconds=float(busy.sum()),
            mean_kv=float(held.sum() / (busy.sum() * blocks.sum())),
            peak_kv=float((np.array([one.peak_kv, two.peak_kv]) * blocks).sum() / blocks.sum()),
            fallbacks=one.fallbacks + two.fallbacks,
            invalid=one.invalid + two.invalid,
            first_invalid=one.first_invalid or two.first_invalid,
            step_log=self._step_log(one, two),
            event_log=None,
            arrival=self.first.times[layout.ARRIVAL].copy() if self.concurrency else None,
        )

    def _step_log(self, one: Outcome, two: Outcome) -> dict[str, Array]:
        """The steps of both, in the order of time."""
        assert one.step_log is not None and two.step_log is not None  # schedulers keep it by default
        logs = [
            {**log, "model_seconds": np.array(loop.model_seconds), "pool": np.full(len(loop.model_seconds), number)}
            for number, (log, loop) in enumerate(((one.step_log, self.prompts), (two.step_log, self.decodes)))
        ]
        order = np.argsort(np.concatenate([log["start"] for log in logs]), kind="stable")
        return {name: np.concatenate([log[name] for log in logs])[order] for name in logs[0]}


def _leaving(scheduler: Scheduler, decision: Decision) -> list[int]:
    """The requests whose prompt is done at the end of this step; before it is committed."""
    prompt = scheduler.requests[layout.PROMPT]
    done: list[int] = decision.requests[decision.computed + decision.tokens == prompt[decision.requests]].tolist()
    if decision.groups > 1 and decision.group == decision.groups - 1:
        there = scheduler.requests[layout.SLOT, decision.cohort] >= 0
        ends = decision.cohort_computed + decision.cohort_tokens == prompt[decision.cohort]
        done += decision.cohort[there & ends].tolist()
    return done


def _within(runner: Any) -> Copy:
    """Copies blocks within the runner's cache."""

    def copy(own: Array, theirs: Array) -> None:
        cache, device = runner.cache, runner.device
        cache.copy_blocks(torch.from_numpy(own).to(device), cache, torch.from_numpy(theirs).to(device))

    return copy
