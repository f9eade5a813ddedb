"""Seeded instances of batch ordering: small ones that can be proved, and larger ones drawn from traces.

Families (B: token budget of an iteration, M: KV capacity, mean peak: mean of p_i + o_i − 1):

- `kv`: p and o log-uniform on 1 … 24, arrivals in 0 … 6, B = 8, M = 3 mean peaks: memory binds.
- `token`: p and o uniform on 1 … 8, arrivals in 0 … 6, B = 3, M = 10 mean peaks: the budget binds.
- `conv`, `code`, `mooncake`: lengths from a trace's profile (`engine_bridge.workload`), counted in blocks of 16 tokens
  as vLLM's KV blocks are, B = 64 (mooncake: 512), M = 10 mean peaks; bursty arrivals at 1.2 times what B can serve.
- `conv-kv`: as `conv`, with M = 3 mean peaks.
- `…-tokens`: the same profiles counted in tokens, B = 512, M = 10 mean peaks; `…-tight`: M = 3 mean peaks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engine_bridge.trace_profiles import PROFILES, draw_arrivals, draw_lengths
from problems.base import Array, Instance
from problems.batch_order.costs import Objective

Plan: TypeAlias = tuple[tuple[str, int, int], ...]
"""What a split holds: family, requests, number of instances."""

BLOCK = 16
"""Tokens in a KV block."""
LOAD = 1.2
"""Work that arrives per iteration in the trace families, in budgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How the instances of one family are drawn.

    profile: lengths and arrivals from this trace's profile, counted in units of `unit` tokens; "" for none.
    longest: of prompts and outputs without a profile. heavy: those are log-uniform instead of uniform.
    peaks: the capacity in mean peaks (but no less than the largest). slack: deadlines lie at arrival + isolated
    latency·(1 + u·slack), u uniform on [0, 1).
    """

    budget: int
    peaks: float
    slack: float
    profile: str = ""
    unit: int = 1
    longest: int = 0
    heavy: bool = False


FAMILIES = {
    "kv": Family(budget=8, peaks=3, slack=0.8, longest=24, heavy=True),
    "token": Family(budget=3, peaks=10, slack=2.5, longest=8),
    "conv": Family(budget=64, peaks=10, slack=0.25, profile="azure_conv", unit=BLOCK),
    "code": Family(budget=64, peaks=10, slack=1, profile="azure_code", unit=BLOCK),
    "mooncake": Family(budget=512, peaks=10, slack=0.5, profile="mooncake", unit=BLOCK),
    "conv-kv": Family(budget=64, peaks=3, slack=0.25, profile="azure_conv", unit=BLOCK),
    "conv-tokens": Family(budget=512, peaks=10, slack=0.25, profile="azure_conv"),
    "code-tokens": Family(budget=512, peaks=10, slack=1, profile="azure_code"),
    "mooncake-tokens": Family(budget=512, peaks=10, slack=0.5, profile="mooncake"),
    "conv-tight": Family(budget=512, peaks=3, slack=0.25, profile="azure_conv"),
    "code-tight": Family(budget=512, peaks=3, slack=1, profile="azure_code"),
    "mooncake-tight": Family(budget=512, peaks=3, slack=0.5, profile="mooncake"),
}

TRACES = ("conv", "code", "mooncake")


def _all(kv: int, token: int, each_trace: int) -> Plan:
    """So many instances of 16 requests of each small family."""
    return (("kv", 16, kv), ("token", 16, token), *((trace, 16, each_trace) for trace in TRACES))


LARGE: Plan = tuple(
    (f"{trace}-{kind}", n, 1)
    for trace in TRACES
    for kind in ("tokens", "tight")
    for n in (50, 100, 200, 300)
    if n <= 100 or trace != "mooncake"  # whose schedules of thousands of chunks would be most of what is shipped
)
SPLITS: dict[Objective, dict[str, Plan]] = {
    "completion": {
        "probe": (("kv", 10, 4), ("token", 8, 2), ("code", 12, 1), ("conv-kv", 16, 1)),
        "train": (("kv", 10, 14), ("token", 8, 4), ("code", 12, 4), ("conv-kv", 16, 4)),
        "validation": (("kv", 10, 14), ("token", 8, 6), ("code", 12, 6), ("conv-kv", 16, 6)),
        "test": (("kv", 10, 24), ("token", 8, 8), ("code", 12, 10), ("conv-kv", 16, 10)),
        "large": tuple((trace, 24, 2) for trace in TRACES) + LARGE,
    },
    "makespan": {
        "probe": (("kv", 8, 6),),
        "train": (("kv", 8, 20),),
        "validation": (("kv", 8, 24),),
        "test": (("kv", 8, 32), ("token", 8, 6)),
        "large": LARGE,
    },
    "late": {
        "probe": _all(3, 2, 1),
        "train": _all(8, 6, 4),
        "validation": _all(12, 8, 6),
        "test": _all(16, 12, 10) + tuple((trace, 32, 2) for trace in TRACES),
        "large": LARGE,
    },
}
"""Family, requests and number of instances, for each objective's splits.

Families in which rules lose little are searched little or not at all: for completion times not `conv` and `mooncake`
(1 % and less), for the makespan only `kv`."""


FRESH: dict[Objective, int] = {"completion": 2, "makespan": 2, "late": 1}
"""How many times as many fresh instances as `test` has: where good rules tie on most, more are needed to tell them."""


def standard_split(name: str, objective: Objective) -> list[Instance]:
    """The instances of a standard split, with deadlines if the objective needs them."""
    return _split(name, objective, name, 1)


def fresh_split(seed: int, objective: Objective) -> list[Instance]:
    """Instances like those of `test`, but others: a test that no search and no choice has seen."""
    return _split("test", objective, f"test-fresh-{seed}", FRESH[objective])


def _split(plan: str, objective: Objective, name: str, times: int) -> list[Instance]:
    return [
        generate(name, family, n, index, deadlines=objective == "late")
        for family, n, count in SPLITS[objective][plan]
        for index in range(times * count)
    ]


def generate(split: str, family: str, n: int, index: int, *, deadlines: bool) -> Instance:
    """One instance, the same for the same arguments on every machine; deadlines change nothing else."""
    key = hashlib.sha256(f"batch_order {split} {family} {n} {index}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(key))))
    law = FAMILIES[family]
    prompt, output, arrival = _drawn(law, n, rng) if law.profile else _synthetic(law, n, rng)
    peak = prompt + output - 1
    capacity = max(int(law.peaks * peak.mean()), int(peak.max()))
    arrays: dict[str, Array] = {"prompt": prompt, "output": output, "arrival": arrival}
    if deadlines:
        latency = -(-prompt // law.budget) - 1 + output
        arrays["deadline"] = arrival + np.ceil(latency * (1 + law.slack * rng.random(n))).astype(np.int64)
    arrays |= {"budget": np.array(law.budget), "capacity": np.array(capacity)}
    return Instance(f"{split}-{family}-n{n}-{index}", arrays, classes=(family, f"n={n}"))


def _synthetic(law: Family, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Prompts, outputs and arrivals of a small family."""
    prompt, output = (
        np.floor(np.exp(u * np.log(law.longest + 1)) if law.heavy else 1 + u * law.longest).astype(np.int64)
        for u in rng.random((2, n))
    )
    arrival = np.floor(7 * rng.random(n)).astype(np.int64)
    return prompt, output, arrival


def _drawn(law: Family, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Prompts, outputs and arrivals from a trace's profile; the time scale of arrivals is set by `LOAD`."""
    profile = PROFILES[law.profile]
    prompt, output = (-(-lengths // law.unit) for lengths in draw_lengths(profile, n, rng))
    seconds = draw_arrivals(profile, n, rng)
    iterations = (prompt + output).sum() / (LOAD * law.budget)
    arrival = np.floor(seconds / max(seconds[-1], 1e-9) * iterations).astype(np.int64)
    return prompt, output, arrival
