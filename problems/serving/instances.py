"""Standard instances: slices of synthetic traces at rates where requests queue, with service levels, on one engine.

Three families like public traces (`engine_bridge.synthetic`): `conversation`, `code` (in bursts, short outputs) and
`mooncake` (sessions with long prompts); and `agents`, whose prompts share long prefixes (`problems.serving.agents`).
Each is one long trace, cut into windows: first those of `probe`, then of `train`, `validation`, `test`, so that what is
tested comes after what was searched on. A window starts with an empty engine and an empty cache.

Service levels as in Sarathi-Serve (Agrawal et al., OSDI 2024, section 5): a decode iteration is that of 32 requests
with 4,096 tokens each; TPOT must be within 5 (`strict`) or 25 (`relaxed`) times that. TTFT likewise: within 5 or 25
times the prefill alone, where no prefill counts as shorter than 50 ms (the paper limits the median scheduling delay).
Output lengths are predicted with a log-normal error (`Workload.predictions` says which); nobody sees the true ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from engine_bridge.cost import CostModel, load_profile
from engine_bridge.settings import EngineSettings
from engine_bridge.sources import load_workload
from engine_bridge.workload import VECTORS, Workload
from problems.base import Array, Instance
from problems.serving.agents import draw_agents
from problems.serving.bounding import least_times

PROFILE = "h200-llama3-8b"
BLOCKS = 12_000
"""KV blocks of the standard engine: 192,000 tokens, 25 GB at 128 KiB each, so that memory matters too."""
SETTINGS = EngineSettings(blocks=BLOCKS)
TRAFFIC = (*(field for field in VECTORS if field != "client"), "block_offsets", "block_ids")
"""Fields of the workload that an instance carries."""
SCALARS = ("max_running", "max_tokens", "block_size", "blocks")
"""Fields of the settings that an instance carries; the others are the defaults."""

FACTORS = {"strict": 5.0, "relaxed": 25.0}
ITERATION = (32, 4096)
"""Requests and context of the decode iteration that service levels are multiples of."""
SHORTEST_PREFILL = 0.05
"""Seconds: what a shorter prefill counts as in the service level of TTFT."""


@dataclass(frozen=True, slots=True)
class Family:
    """rate: requests per second, on average over the trace. requests: of a window. longest: of a prompt (tokens)."""

    rate: float
    requests: int
    longest: int


FAMILIES = {
    "conversation": Family(32.0, 160, 8192),
    "code": Family(5.0, 100, 8192),
    "mooncake": Family(3.6, 60, 16384),
    "agents": Family(14.0, 100, 16384),
}
WINDOWS = {"probe": 1, "train": 2, "validation": 2, "test": 4}
"""Windows of each family; in the order of time."""
SPLITS = tuple(WINDOWS)
FRESH = 8
"""Windows of each family's trace that `fresh_split` draws."""
START = 3600.0
"""Seconds on the clock at the first arrival of a window: an engine has run for a while, and a rule must not live on
the clock having just started, when the time it shows is how long somebody has waited."""


@dataclass(frozen=True, slots=True)
class CostVector:
    """A cost model as the simulator reads it."""

    vector: Array


def standard_split(name: str) -> Sequence[Instance]:
    """All instances of a split, family by family; every other one is `strict`."""
    counts = list(WINDOWS.values())
    first = sum(counts[: SPLITS.index(name)])
    return [generate(family, first + index, name, index) for family in FAMILIES for index in range(WINDOWS[name])]


def fresh_split(seed: int) -> Sequence[Instance]:
    """Windows like those of the splits, of traces that no split was cut from: one of each family for this `seed`."""
    return [
        generate(family, window, f"fresh-{seed}", window, seed=seed + 1, windows=FRESH)
        for family in FAMILIES
        for window in range(FRESH)
    ]


def generate(
    family: str,
    window: int,
    split: str = "window",
    index: int = 0,
    *,
    seed: int = 0,
    windows: int = sum(WINDOWS.values()),
) -> Instance:
    """One window of a family's trace, which is as long as `windows` of them."""
    count = FAMILIES[family].requests
    level = list(FACTORS)[window % len(FACTORS)]
    part = trace(family, seed, windows).select(np.arange(window * count, (window + 1) * count))
    part = replace(part, arrival=part.arrival - part.arrival[0] + START)
    return instance_of(f"{split}-{family}-{level}-{index}", part, level, (family, level))


@lru_cache(maxsize=2 * len(FAMILIES))
def trace(family: str, seed: int, windows: int) -> Workload:
    """The whole trace, all windows, the same on every machine; that of the splits has seed 0."""
    kind = FAMILIES[family]
    requests = kind.requests * windows
    drawn = draw_agents(requests, seed) if family == "agents" else load_workload(family, requests=requests, seed=seed)
    return drawn.scaled(kind.rate).clipped(max_prompt=kind.longest)


def instance_of(name: str, workload: Workload, level: str, classes: tuple[str, ...] = ()) -> Instance:
    """The instance that a workload is, on the standard engine, with a service level of `FACTORS`."""
    arrays = {field: getattr(workload, field) for field in TRAFFIC}
    arrays |= {"hash_block": np.array(workload.hash_block), **_engine(SETTINGS)}
    alone, _ = least_times(Instance(name, arrays))
    ttft, tpot = service_levels(level, alone, load_profile(PROFILE))
    return Instance(name, {**arrays, "ttft": ttft, "tpot": np.full(len(alone), tpot)}, classes)


def service_levels(level: str, alone: Array, profile: CostModel) -> tuple[Array, float]:
    """Objectives of `FACTORS` (s): TTFT of each request, where `alone` is its least possible one, and TPOT of all."""
    return FACTORS[level] * np.maximum(alone, SHORTEST_PREFILL), FACTORS[level] * decode_iteration(profile)


def decode_iteration(profile: CostModel) -> float:
    """Seconds of the decode iteration that service levels are multiples of."""
    requests, context = ITERATION
    return float(profile.seconds(decodes=requests, decode_kv=requests * context))


def from_lists(instance: Instance) -> Instance:
    """A user's own instance completed: no prefixes, no priorities, the standard engine but for its `blocks`."""
    n = len(instance["arrival"])
    times = {field: instance[field].astype(np.float64) for field in ("arrival", "ttft", "tpot")}
    defaults = {
        **_engine(SETTINGS),
        "priority": np.zeros(n, dtype=np.int64),
        "group": np.full(n, -1),
        "block_offsets": np.zeros(n + 1, dtype=np.int64),
        "block_ids": np.zeros(0, dtype=np.int64),
        "hash_block": np.array(SETTINGS.block_size),
    }
    return Instance(instance.name, {**defaults, **instance.arrays, **times}, instance.classes)


def traffic_of(instance: Instance) -> Workload:
    """The instance's requests as the simulator takes them."""
    arrays: Mapping[str, Any] = {field: instance[field] for field in TRAFFIC}
    nobody = np.zeros(len(instance["arrival"]), dtype=np.int64)
    return Workload(name=instance.name, client=nobody, hash_block=int(instance["hash_block"]), **arrays)


def settings_of(instance: Instance) -> EngineSettings:
    """The instance's engine."""
    max_running, max_tokens, block_size, blocks = (int(instance[field]) for field in SCALARS)
    return EngineSettings(max_running=max_running, max_tokens=max_tokens, block_size=block_size, blocks=blocks)


def _engine(settings: EngineSettings) -> dict[str, Array]:
    """The arrays that an instance carries of its engine and cost model."""
    engine: dict[str, Array] = {field: np.array(getattr(settings, field)) for field in SCALARS}
    return {**engine, "cost": load_profile(PROFILE).vector}
