"""Runs steps on a device: token ids in, sampled token ids out, whole or by groups of layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine_bridge.torch_engine.batch import StepBatch, make_batch, merge, to_device
from engine_bridge.torch_engine.cache import KVCache
from engine_bridge.torch_engine.errors import EngineError, memory_for
from engine_bridge.torch_engine.graphs import DecodeGraphs
from engine_bridge.torch_engine.model import Hidden, Model

Array = NDArray[Any]

REMEDY = "give a smaller max_tokens or max_running, or fewer KV blocks"
"""Against too little GPU memory in a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """max_running, max_tokens: sequences and tokens of one step at most. graphs: record decodes in CUDA graphs where
    that can be done. temperature: of sampling, 0 for the most probable token; seed: of sampling.
    """

    max_running: int = 256
    max_tokens: int = 2048
    graphs: bool = True
    temperature: float = 0.0
    seed: int = 0


class Cohort:
    """Prompts on their way through the groups of layers.

    A sequence that is preempted meanwhile stays on board, as the simulator has it: the KV of its blocks that nobody
    else takes can still be found by others. Those that decodes take over are written to no more.
    """

    def __init__(self, batch: StepBatch, groups: int, layers: int) -> None:
        self.batch = batch
        self.hidden: Hidden | None = None
        self.bounds = [round(number * layers / groups) for number in range(groups + 1)]
        self.passed = 0

    @property
    def done(self) -> bool:
        """Whether all groups are passed."""
        return self.passed == len(self.bounds) - 1

    def give_way(self, decodes: StepBatch, spare_slot: int) -> None:
        """Write no more to blocks that now belong to `decodes`."""
        size = decodes.block_size
        held = np.arange(decodes.block_tables.shape[1]) < -(-decodes.context_lens[:, None] // size)
        taken = np.zeros(spare_slot // size + 1, dtype=np.bool_)
        taken[decodes.block_tables[held]] = True
        lost = taken[self.batch.slots // size]
        if lost.any():
            self.batch = replace(self.batch, slots=np.where(lost, np.int32(spare_slot), self.batch.slots))


class Runner:
    """A model, its cache, and how tokens are sampled; every step is over when its method returns."""

    def __init__(self, model: Model, cache: KVCache, settings: RunnerSettings | None = None) -> None:
        self.model = model
        self.cache = cache
        self.settings = settings or RunnerSettings()
        self.device = model.weights.device
        self._graphs: DecodeGraphs | None = None
        self._generator = torch.Generator(self.device).manual_seed(self.settings.seed)

    def warm_up(self) -> None:
        """Get ready: kernels compiled, memory reserved, graphs recorded, so that the first step is like any other.

        Raises:
            EngineError: the GPU has too little memory for a step of `max_tokens`.
        """
        most = min(self.settings.max_tokens, self.model.shape.max_position, self.cache.blocks * self.cache.block_size)
        if self.device.type == "cpu":
            most = min(most, 16)
        for counts in ([most], [1, most - 1], [1, 1]) if most > 1 else ([1],):
            self.step(self._idle(counts))
        if self.settings.graphs and self.model.graphs:
            with torch.inference_mode(), memory_for("the graphs of decode steps", REMEDY):
                self._graphs = DecodeGraphs(self.model, self.cache, self.settings.max_running)

    def _idle(self, counts: list[int]) -> StepBatch:
        """A step of sequences of so many tokens that leaves no trace in the cache."""
        size = self.cache.block_size
        batch = make_batch(
            token_ids=np.zeros(sum(counts)),
            counts=np.array(counts),
            computed=np.zeros(len(counts)),
            block_tables=np.zeros((len(counts), -(-max(counts) // size))),
            block_size=size,
        )
        return replace(batch, slots=np.full_like(batch.slots, self.cache.spare_slot))

    @torch.inference_mode()
    def step(self, batch: StepBatch) -> Array:
        """Run a step; the sampled token of each sequence, −1 for those that want none; int64, shape (S,).

        Raises:
            EngineError: a sequence is longer than the model's positions, or the GPU has too little memory.
        """
        self._check(batch)
        with memory_for(f"a step of {batch.tokens} tokens", REMEDY):
            if self._graphs and self._graphs.holds(batch):
                logits = self._graphs.run(batch)
            else:
                logits = self.model.forward(to_device(batch, self.device), self.cache)
            return self._sample(logits, batch)

    def _check(self, batch: StepBatch) -> None:
        """Refuse positions for which there are no angles."""
        longest, most = int(batch.context_lens.max(initial=0)), self.model.shape.max_position
        if longest > most:
            raise EngineError(
                f"a request of {longest} tokens is longer than the {most} positions of model {self.model.shape.name}; "
                "clip the workload"
            )

    def start_layered(self, batch: StepBatch, groups: int) -> Cohort:
        """Prompts that will pass through the model in `groups` steps; nothing is computed yet."""
        self._check(batch)
        return Cohort(batch, groups, self.model.shape.layers)

    @torch.inference_mode()
    def step_layered(self, decodes: StepBatch | None, cohort: Cohort) -> tuple[Array, Array | None]:
        """Run decodes through all layers and a cohort through its next group of them, together where they meet.

        Returns:
            The sampled tokens as `step` gives them: of the decodes, and of the cohort after its last group, before
            that None.
        """
        if cohort.done:
            raise EngineError("a cohort that has passed all layers cannot go on; start another")
        with memory_for(f"a layered step of {cohort.batch.tokens} tokens", REMEDY):
            return self._step_layered(decodes, cohort)

    def _step_layered(self, decodes: StepBatch | None, cohort: Cohort) -> tuple[Array, Array | None]:
        first, last = cohort.bounds[cohort.passed : cohort.passed + 2]
        if decodes is None or not decodes.sequences:
            there = to_device(cohort.batch, self.device)
            started = cohort.hidden or self.model.embed(there)
            tokens = np.zeros(0, dtype=np.int64)
            hidden = self.model.run(started, there, self.cache, range(first, last))
        else:
            self._check(decodes)
            cohort.give_way(decodes, self.cache.spare_slot)
            tokens, hidden = self._together(decodes, cohort, first, last)
        cohort.hidden = hidden
        cohort.passed += 1
        if not cohort.done:
            self._wait()
            return tokens, None
        rows = torch.as_tensor((cohort.batch.query_starts[1:] - 1)[cohort.batch.wanted], device=self.device)
        return tokens, self._sample(self.model.logits(hidden, rows), cohort.batch)

    def _together(self, decodes: StepBatch, cohort: Cohort, first: int, last: int) -> tuple[Array, Hidden]:
        """Decodes through all layers, the cohort through layers first … last; their tokens, its hidden state."""
        model, cache = self.model, self.cache
        alone = to_device(decodes, self.device)
        both = to_device(merge(decodes, cohort.batch), self.device)
        hidden = model.run(model.embed(alone), alone, cache, range(first))
        started = cohort.hidden or model.embed(to_device(cohort.batch, self.device))
        met = model.run(hidden.followed_by(started), both, cache, range(first, last))
        hidden, reached = met.split(decodes.tokens)
        hidden = model.run(hidden, alone, cache, range(last, model.shape.layers))
        return self._sample(model.logits(hidden, alone.last), decodes), reached

    def _sample(self, logits: torch.Tensor, batch: StepBatch) -> Array:
        """Tokens for the sequences that want one, −1 for the others; waits for the device."""
        tokens = np.full(batch.sequences, -1, dtype=np.int64)
        chosen = sample(logits, self.settings.temperature, self._generator)
        tokens[batch.wanted] = chosen.cpu().numpy()
        return tokens

    def _wait(self) -> None:
        """Let the device finish, so that the clock says how long the step took."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def sample(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """A token for each row of logits, shape (n, vocab) → (n,).

    With a temperature T, token i is drawn with probability ∝ exp(logit_i / T), as the one whose exponential clock of
    that rate rings first: without the search through cumulated sums that `multinomial` needs.
    """
    if temperature == 0 or not len(logits):
        return logits.argmax(dim=-1)
    shares = (logits.float() / temperature).softmax(dim=-1)
    clocks = torch.empty_like(shares).exponential_(generator=generator)
    return (shares / clocks).argmax(dim=-1)
