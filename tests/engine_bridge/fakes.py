"""A runner that keeps books instead of computing, and a clock that it pushes: the engine in the simulator's time."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from engine_bridge import step_time
from engine_bridge.cost import Coefficients, CostModel
from engine_bridge.policy import Array
from engine_bridge.torch_engine.batch import StepBatch
from engine_bridge.torch_engine.shape import PRESETS

BY_TOKENS = CostModel(name="tokens", coefficients=Coefficients(fixed=1e-3, weights=3e-3, token=2e-5))
"""A clock that reads of a step what its batch tells: not which tokens are of prompts, nor who was preempted."""
VOCAB = PRESETS["tiny"].vocab


class VirtualClock:
    """Stands still but for sleep and steps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """The time."""
        return self.time

    def wait_until(self, moment: float) -> None:
        """Be there at once."""
        self.time = max(self.time, moment)


@dataclass
class Cohort:
    """Prompts on their way."""

    batch: StepBatch
    groups: int
    tokens: Array
    passed: int = 0


class FakeRunner:
    """Each step takes what the cost model gives for its batch.

    The slot of a token holds a checksum of the token and all before it, made from what the slot of the one before
    holds; the token sampled is made from the checksum. So what a request generates tells whether it was ever given
    another's block or one that nobody filled (`alone` says what it has to be).
    """

    model: Any = SimpleNamespace(shape=PRESETS["tiny"])

    def __init__(self, cost: CostModel, clock: VirtualClock, blocks: int, block_size: int) -> None:
        self.coefficients = cost.vector
        self.clock = clock
        self.contents = [0] * (blocks * block_size)

    def step(self, batch: StepBatch) -> Array:
        """All sequences of a step."""
        self._pass(0, batch.tokens, 1)
        return self._write(batch)

    def start_layered(self, batch: StepBatch, groups: int) -> Cohort:
        """A cohort, whose KV is written at once."""
        return Cohort(batch, groups, self._write(batch))

    def step_layered(self, decodes: StepBatch | None, cohort: Cohort) -> tuple[Array, Array | None]:
        """One group."""
        self._pass(cohort.batch.tokens, 0 if decodes is None else decodes.sequences, cohort.groups)
        cohort.passed += 1
        tokens = np.zeros(0, dtype=np.int64) if decodes is None else self._write(decodes)
        return tokens, cohort.tokens if cohort.passed == cohort.groups else None

    def _pass(self, prefill: int, decodes: int, groups: int) -> None:
        self.clock.time += step_time.step_seconds(
            self.coefficients, float(prefill), 0.0, float(decodes), 0.0, 0.0, float(groups)
        )

    def _write(self, batch: StepBatch) -> Array:
        """Fill the slots of all tokens; the tokens sampled, −1 where none is wanted.

        A sequence may read what another writes in the same step, as it may in every layer of a model: so all tokens
        are done in the order of their positions.
        """
        size, sampled = batch.block_size, [-1] * batch.sequences
        counts = np.diff(batch.query_starts)
        before = np.maximum(batch.positions - 1, 0)
        owners = np.repeat(np.arange(batch.sequences), counts)
        places = batch.block_tables[owners, batch.positions // size] * size + batch.positions % size
        assert np.array_equal(places, batch.slots)
        last = batch.wanted[owners] & (batch.positions + 1 == batch.context_lens[owners])
        columns = (
            owners, batch.positions, batch.token_ids, batch.slots, last,
            batch.block_tables[owners, before // size] * size + before % size,
        )  # fmt: skip
        order = np.argsort(batch.positions, kind="stable")
        for owner, position, token, slot, ends, past in zip(*(each[order].tolist() for each in columns), strict=True):
            self.contents[slot] = fold(self.contents[past] if position else 0, token)
            if ends:
                sampled[owner] = self.contents[slot] % VOCAB
        return np.array(sampled)


def fold(checksum: int, token: int) -> int:
    """The checksum of one token more."""
    return ((checksum ^ (token + 1)) * 1_000_003 + 12_345) % (2**61 - 1)


def alone(prompt: Array, output: int) -> list[int]:
    """What a request generates if it is served alone and without pages."""
    checksum, generated = 0, []
    for token in prompt.tolist():
        checksum = fold(checksum, token)
    for _ in range(output):
        generated.append(checksum % VOCAB)
        checksum = fold(checksum, generated[-1])
    return generated
