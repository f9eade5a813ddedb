"""Random cases for the comparison with vLLM's scheduler, and our simulator's record of them.

Time is counted in steps: one in which tokens are scheduled takes one second, so that arrivals fall between the same
steps on both sides. A record holds for every step what was scheduled, admitted, preempted and finished, the blocks that
are free afterwards; and a checksum of every view that the policy was shown.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine_bridge import layout
from engine_bridge.cost import Coefficients, CostModel
from engine_bridge.online import simulate
from engine_bridge.policy import VECTOR_NAMES, View
from engine_bridge.settings import EngineSettings
from engine_bridge.workload import Workload

MODULUS = 11
"""Scores are weighted sums modulo this, so that orders change all the time and ties are common."""


@dataclass
class Step:
    """What one step decided; the lists in the order of the decisions."""

    scheduled: list[list[int]] = field(default_factory=list)
    """Pairs (request, tokens)."""
    admitted: list[int] = field(default_factory=list)
    preempted: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    free: int = 0


@dataclass
class Record:
    """All steps of a case, and a checksum of every view that the policy was shown."""

    steps: list[Step]
    views: list[int]


@dataclass
class Case:
    """A workload, an engine and a policy, all made of plain numbers."""

    settings: dict[str, Any]
    arrival: list[int]
    prompt: list[int]
    output: list[int]
    prefix: list[list[int]]
    hash_block: int
    policy: dict[str, list[int]]
    """Functions and their weights."""

    def engine(self) -> EngineSettings:
        """The engine's settings."""
        return EngineSettings(**self.settings)

    def workload(self) -> Workload:
        """The workload in the simulator's form; objectives and predictions are arbitrary, but known to both sides."""
        request = np.arange(len(self.prompt))
        return Workload.of(
            "random",
            self.arrival,
            self.prompt,
            self.output,
            blocks=self.prefix,
            hash_block=self.hash_block,
            predicted=self.output + request % 3,
            priority=request % 2,
            group=[ids[0] if ids else -1 for ids in self.prefix],
            ttft=1.0 + request % 5,
            tpot=1.0 + request % 7,
        )


class Weighted:
    """A policy of weighted sums over the view, the same on both sides; it notes what it was shown."""

    def __init__(self, weights: dict[str, list[int]]) -> None:
        self.functions = frozenset(weights)
        self._weights = weights
        self.views: list[int] = []

    def ask(self, function: str, view: View) -> np.ndarray:
        """Scores in 0 … 10, or a number in the range of the function."""
        self.views.append(zlib.crc32(view.vectors.tobytes() + view.numbers.tobytes()))
        weights = np.array(self._weights[function], dtype=np.float64)
        sums: np.ndarray = weights @ view.vectors
        if function in ("rank_waiting", "rank_running"):
            return sums % MODULUS
        total = int(sums.sum() + view.now + view.free_blocks)
        if function == "token_budget":
            return np.array(1 + total % int(view.max_tokens))
        return np.array(total % int(view.max_running + 1))


def draw_case(seed: int) -> Case:
    """A small random case; few blocks, shared prefixes, chunks and policies all occur often."""
    rng = np.random.default_rng(seed)
    size = int(rng.choice([1, 2, 4, 16]))
    n = int(rng.integers(1, 40))
    scale = int(rng.choice([1, 4]))
    prompt = rng.integers(1, 15 * size * scale, n)
    output = 1 + rng.geometric(1 / rng.integers(2, 40), n)
    hash_block = size * int(rng.integers(1, 4))
    prefix = draw_prefixes(rng, prompt, hash_block)
    need = int((-(-(prompt + output - 1) // size)).max())
    settings = {
        "max_running": int(rng.integers(1, 17)),
        "max_tokens": int(rng.integers(1, 12 * size * scale + 8)),
        "block_size": size,
        "blocks": need + int(rng.integers(0, 1 + need * int(rng.choice([1, 4])))),
        "prefix_cache": bool(rng.random() < 0.75),
        "long_prefill": int(rng.choice([0, 0, 1, 5, 4 * size])),
        "reserve": bool(rng.random() < 0.6),
        "watermark": float(rng.choice([0.0, 0.0, 0.05, 0.25])),
        "window": int(rng.choice([2, 5, 256])),
    }
    functions = ("rank_waiting", "rank_running", "token_budget", "admit_limit")
    chosen = [name for name in functions if rng.random() < rng.choice([0.0, 0.5])]
    policy = {name: [int(w) for w in rng.integers(0, 8, len(VECTOR_NAMES))] for name in chosen}
    arrival = np.sort(rng.integers(0, int(rng.choice([1, 30, 400])), n))
    return Case(settings, arrival.tolist(), prompt.tolist(), output.tolist(), prefix, hash_block, policy)


def draw_prefixes(rng: np.random.Generator, prompt: np.ndarray, hash_block: int) -> list[list[int]]:
    """Prefix blocks of each prompt: chains of a few groups, followed to some depth; most reach beyond half of it."""
    groups = int(rng.integers(1, 6))
    shared = rng.random() < 0.7
    found = []
    for tokens in prompt.tolist():
        most = -(-tokens // hash_block)
        depth = int(rng.integers(0, most + 1)) if shared else 0
        group = int(rng.integers(groups))
        found.append([1000 * group + place for place in range(depth)])
    return found


UNIT_COST = CostModel(name="one second a step", coefficients=Coefficients(fixed=1.0))


def simulate_case(case: Case) -> Record:
    """Our simulator's record of a case."""
    policy = Weighted(case.policy)
    outcome = simulate(case.workload(), policy, case.engine(), UNIT_COST, log=True, strict=True)
    assert outcome.event_log is not None and outcome.step_log is not None
    steps = [Step(free=int(free)) for free in outcome.step_log["free_blocks"]]
    for number, request, tokens, kind in outcome.event_log.tolist():
        step = steps[number]
        if kind == layout.PREEMPTION:
            step.preempted.append(request)
        elif kind == layout.FINISHED:
            step.finished.append(request)
        else:
            step.scheduled.append([request, tokens])
            if kind == layout.ADMITTED:
                step.admitted.append(request)
    return Record(steps, policy.views)


def as_json(case: Case, record: Record) -> dict[str, Any]:
    """A case and its record."""
    return {"case": asdict(case), "record": asdict(record)}


def from_json(data: dict[str, Any]) -> tuple[Case, Record]:
    """The inverse of `as_json`."""
    steps = [Step(**step) for step in data["record"]["steps"]]
    return Case(**data["case"]), Record(steps, data["record"]["views"])
