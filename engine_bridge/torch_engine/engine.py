"""The embedded engine: the scheduler of the simulator, steps that are computed, and a clock that is real.

    runner = open_runner("tiny")
    outcome = Engine(runner, EngineSettings(blocks=runner.cache.blocks)).serve(workload, policy)
    metrics(outcome, workload)

A step begins where the one before ended, so that the time between them, in which the policy is asked and the batch is
packed, is part of it; after a pause it begins when the engine wakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_bridge import layout
from engine_bridge.online import NoProgress, no_progress
from engine_bridge.outcome import Outcome
from engine_bridge.packing import pack
from engine_bridge.policy import Policy, require_engine
from engine_bridge.scheduler import Decision, Scheduler
from engine_bridge.settings import EngineSettings
from engine_bridge.torch_engine.batch import StepBatch
from engine_bridge.torch_engine.clock import Clock, RealClock
from engine_bridge.torch_engine.errors import EngineError
from engine_bridge.torch_engine.shape import ModelShape
from engine_bridge.torch_engine.tokens import Tokens
from engine_bridge.workload import Workload

Array = NDArray[Any]

STEPS_PER_TOKEN: float = 10
"""A run that takes more steps for each token of the workload will never end, as in the simulator."""


class Shaped(Protocol):
    """What the engine needs of a `model.Model`."""

    @property
    def shape(self) -> ModelShape:
        """How many token ids there are, and how long a sequence can be."""


class StepRunner(Protocol):
    """What the engine needs of a `runner.Runner`."""

    @property
    def model(self) -> Shaped:
        """What it runs."""

    def step(self, batch: StepBatch) -> Array:
        """Compute a step; a sampled token for each sequence that wants one, shape (S,)."""

    def start_layered(self, batch: StepBatch, groups: int) -> Any:
        """A cohort of prompts that will pass through the layers in `groups` steps."""

    def step_layered(self, decodes: StepBatch | None, cohort: Any) -> tuple[Array, Array | None]:
        """Decodes through all layers, a cohort through its next group; the tokens of both, those of the latter last."""


class Loop:
    """One scheduler, its tokens and the steps it has computed: what an engine has one of, and each of two pools.

    The scheduler's block b is the cache's block `offset` + b.
    """

    def __init__(self, runner: StepRunner, scheduler: Scheduler, tokens: Tokens, offset: int = 0) -> None:
        self.runner = runner
        self.scheduler = scheduler
        self.tokens = tokens
        self.offset = offset
        self.model_seconds: list[float] = []
        self._block_size = int(scheduler.settings[layout.BLOCK_SIZE])
        self._cohort: Any = None
        self._riders: StepBatch | None = None

    def compute(self, decision: Decision) -> None:
        """Do what was decided and note the tokens that come out."""
        batch, targets = self._pack(decision.requests, decision.tokens, decision.computed)
        if decision.groups > 1:
            self._compute_layered(decision, batch, targets)
        elif batch is not None:
            start = perf_counter()
            sampled = self.runner.step(batch)
            self.model_seconds.append(perf_counter() - start)
            self._note(batch, targets, sampled)
        else:
            self.model_seconds.append(0.0)

    def _compute_layered(self, decision: Decision, batch: StepBatch | None, targets: Array) -> None:
        if decision.group == 0:
            self._riders, self._places = self._pack(decision.cohort, decision.cohort_tokens, decision.cohort_computed)
            assert self._riders is not None  # a layered step has a cohort
            self._cohort = self.runner.start_layered(self._riders, decision.groups)
        start = perf_counter()
        sampled, at_end = self.runner.step_layered(batch, self._cohort)
        self.model_seconds.append(perf_counter() - start)
        if batch is not None:
            self._note(batch, targets, sampled)
        if at_end is not None and self._riders is not None:
            # Those that were preempted on the way will compute the same once more.
            self._note(self._riders, self._places, at_end)

    def _pack(self, requests: Array, tokens: Array, computed: Array) -> tuple[StepBatch | None, Array]:
        """The batch of these requests, None of nobody; and the places of the tokens that will be sampled."""
        if not len(requests):
            return None, requests
        scheduler, store = self.scheduler, self.tokens
        (token_ids, positions, slots, query_starts, context_lens, block_tables, wanted, targets, decodes) = pack(
            requests, tokens, computed, scheduler.requests, scheduler.tables, scheduler.settings, store.ids,
            store.starts,
        )  # fmt: skip
        if self.offset:
            block_tables += self.offset
            slots += self.offset * self._block_size
        batch = StepBatch(
            token_ids=token_ids, positions=positions, slots=slots, query_starts=query_starts,
            context_lens=context_lens, block_tables=block_tables, wanted=wanted, decodes=decodes,
            block_size=self._block_size,
        )  # fmt: skip
        return batch, targets

    def _note(self, batch: StepBatch, targets: Array, sampled: Array) -> None:
        """Keep the tokens sampled, which the next steps go on from."""
        self.tokens.ids[targets] = sampled if len(targets) == len(sampled) else sampled[batch.wanted]


class Engine:
    """Serves workloads with a runner, one at a time; the cache is empty at the start of each.

    Args:
        runner: computes the steps.
        settings: the engine as the scheduler sees it; its blocks must be in the runner's cache.

    `tokens` are those of the workload served last, the generated ones among them.
    """

    tokens: Tokens

    def __init__(self, runner: StepRunner, settings: EngineSettings) -> None:
        self.runner = runner
        self.settings = settings

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
        """Serve a workload to its end.

        Args:
            workload: the requests; time 0 is when they begin.
            policy: who is asked.
            clock: the real one by default.
            concurrency: so many requests are under way at any time, whatever their arrival times; None: by these.
            strict: raise the first `InvalidAnswer` instead of going on without the answer.
            progress: told how many requests have finished, whenever some have.

        Returns:
            The outcome, with both logs; its step log has a column more, `model_seconds`: the part of each step that
            the runner took.

        Raises:
            ValueError: the workload is empty or does not fit the KV cache (`settings.check_workload`).
            EngineError: a request is longer than the model can go.
            UnsupportedFunction: the policy has a function that the engine cannot carry out.
            NoProgress: the policy keeps work from being finished.
        """
        require_engine(policy, "torch")
        check_lengths(workload, self.runner.model.shape)
        scheduler = Scheduler(workload, policy, self.settings, strict=strict, concurrency=concurrency)
        self.tokens = Tokens(workload, self.runner.model.shape.vocab)
        loop = Loop(self.runner, scheduler, self.tokens)
        most_steps = STEPS_PER_TOKEN * int(np.sum(workload.prompt) + np.sum(workload.output))
        clock = clock or RealClock()
        while scheduler.unfinished:
            wake(scheduler, clock)
            decision = scheduler.decide()
            loop.compute(decision)
            if scheduler.commit(clock.now()) and progress is not None:
                progress(scheduler.finished)
            if stuck(scheduler, most_steps):
                raise NoProgress(no_progress(scheduler))
        return with_model_seconds(scheduler.outcome(), loop)


def wake(scheduler: Scheduler, clock: Clock) -> None:
    """Let arrive what has by the end of the last step; if nobody is there, sleep until somebody comes."""
    scheduler.arrive()
    if not scheduler.busy:
        clock.wait_until(scheduler.next_arrival)
        scheduler.arrive(max(clock.now(), scheduler.next_arrival))


def stuck(scheduler: Scheduler, most_steps: float) -> bool:
    """Whether steps go by without a token, or too many have."""
    state = scheduler.state
    return bool(state[layout.EMPTY] > len(scheduler.waiting) + 1 or state[layout.STEPS] > most_steps)


def with_model_seconds(outcome: Outcome, loop: Loop) -> Outcome:
    """The outcome with the runner's part of each step in its log."""
    assert outcome.step_log is not None  # the scheduler keeps it by default
    return replace(outcome, step_log={**outcome.step_log, "model_seconds": np.array(loop.model_seconds)})


def check_lengths(workload: Workload, shape: ModelShape) -> None:
    """Refuse sequences beyond the model's last position.

    Raises:
        EngineError: there is one; the last token of an output is never fed back, so it needs none.
    """
    lengths = workload.prompt + workload.output - 1
    if len(lengths) and lengths.max() > shape.max_position:
        raise EngineError(
            f"workload {workload.name}: request {int(lengths.argmax())} is {lengths.max()} tokens long, model "
            f"{shape.name} goes up to {shape.max_position}; clip the workload or choose another model"
        )
