"""Seeded instances: lengths and arrivals like those of public traces, scaled down to rounds and a small cache.

`conv`, `code` and `mooncake` draw from the profiles of `engine_bridge.workload`, which are fitted to the traces of
these names; prompts and outputs are divided by `SCALE` and rounded up, and the clock is stretched so that requests
come `load` times as fast as a cache that is always full could serve them: Σ areas = load · M · (last arrival).
`batch`: lengths of `conv`, all there at round 0. `small`: any of the three lengths, 8 to 10 requests and little
memory, so that the integer program can be solved. M is a multiple of the mean peak (prompt + output).

`jaillet-1`, `jaillet-2`: the synthetic instances of Jaillet et al. (arXiv 2502.07115), bound by memory:
M ~ U{30..50}, s ~ U{1..5}, o ~ U{1..M − s}; n ~ U{40..60} at round 0, or Poisson arrivals of rate U[.5, 1.5] over
U{40..60} rounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from engine_bridge.trace_profiles import PROFILES, draw_arrivals, draw_lengths
from problems.base import Array, Instance
from problems.kv_admission.memory import areas

PROFILE = {"conv": "azure_conv", "code": "azure_code", "mooncake": "mooncake"}
SCALE = {"conv": 16, "code": 4, "mooncake": 32}
"""Tokens of the trace for one of ours."""
LOADS = (1.2, 1.0, 1.5)
"""Taken in turn."""
PLENTY, SCARCE = 12.0, 3.0
"""M over the mean peak: where the linear program is tight, and in the family `small`."""

Counts = dict[str, dict[int, int]]
SPLITS: dict[str, Counts] = {
    "probe": {"small": {10: 3}, "conv": {50: 1}, "mooncake": {50: 1}, "batch": {50: 1}},
    "train": {"small": {10: 9}} | {family: {50: 4, 100: 1} for family in (*PROFILE, "batch")},
    "validation": {"small": {10: 18}} | {family: {50: 6, 100: 3} for family in (*PROFILE, "batch")},
    "test": {"small": {10: 30}} | {family: {50: 8, 100: 4, 200: 2} for family in (*PROFILE, "batch")},
    "kv_bound": {"jaillet-1": {50: 6}, "jaillet-2": {50: 6}},
}
"""Instances by family and size; the size of `small` and `jaillet-…` is drawn."""


def standard_split(name: str, like: str = "") -> Sequence[Instance]:
    """All instances of a split, family by family; of any other name, as many as the split `like` has."""
    return [
        generate(name, family, n, index)
        for family, sizes in SPLITS[like or name].items()
        for n, count in sizes.items()
        for index in range(count)
    ]


def generate(split: str, family: str, n: int, index: int) -> Instance:
    """One instance, the same for the same arguments on every machine."""
    key = hashlib.sha256(f"kv_admission {split} {family} {n} {index}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(key))))
    classes: tuple[str, ...] = (family,)
    if family.startswith("jaillet"):
        arrays = _jaillet(family, rng)
    elif family == "small":
        lengths = list(PROFILE)[index % len(PROFILE)]
        arrays = _drawn(lengths, n - index % 3, SCARCE, LOADS[2], rng)
    else:
        load = None if family == "batch" else LOADS[index % len(LOADS)]
        arrays = _drawn("conv" if family == "batch" else family, n, PLENTY, load, rng)
        classes = (family, f"n={n}")
    return Instance(f"{split}-{family}-n{len(arrays['prompt'])}-{index}", arrays, classes)


def _drawn(lengths: str, n: int, ratio: float, load: float | None, rng: np.random.Generator) -> dict[str, Array]:
    """Lengths of a profile, and its arrivals stretched to `load`; all at round 0 if there is none."""
    profile = PROFILES[PROFILE[lengths]]
    prompt, output = (-(-tokens // SCALE[lengths]) for tokens in draw_lengths(profile, n, rng))
    capacity = int(max(ratio * (prompt + output).mean(), (prompt + output).max()))
    arrival = np.zeros(n, dtype=np.int64)
    if load is not None:
        seconds = draw_arrivals(profile, n, rng)
        span = areas(prompt, output).sum() / (load * capacity)
        arrival = np.floor(seconds / max(seconds[-1], 1.0) * span).astype(np.int64)
    return {"prompt": prompt, "output": output, "arrival": arrival, "capacity": np.array(capacity)}


def _jaillet(family: str, rng: np.random.Generator) -> dict[str, Array]:
    capacity = _between(rng, 30, 50)
    if family == "jaillet-1":
        arrival = np.zeros(_between(rng, 40, 60), dtype=np.int64)
    else:
        arrival = np.array(list(_poisson(rng, 0.5 + rng.random(), _between(rng, 40, 60))), dtype=np.int64)
    prompt = np.array([_between(rng, 1, 5) for _ in arrival])
    output = np.array([_between(rng, 1, capacity - tokens) for tokens in prompt.tolist()])
    return {"prompt": prompt, "output": output, "arrival": arrival, "capacity": np.array(capacity)}


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """One of low … high; from a uniform number, as NumPy may change how it draws anything else."""
    return low + int(rng.random() * (high - low + 1))


def _poisson(rng: np.random.Generator, rate: float, rounds: int) -> Iterator[int]:
    """The rounds of the arrivals of a Poisson process; at least one."""
    at = 0.0
    yield 0
    while (at := at - np.log1p(-rng.random()) / rate) < rounds:
        yield int(at)
