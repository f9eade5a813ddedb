"""Seeded instances of 1||ΣT_j on the grid of Potts & Van Wassenhove (1982).

p ~ U{1..100}, P = Σp; d ~ U{⌈P(1 − TF − RDD/2)⌉ .. ⌊P(1 − TF + RDD/2)⌋}, negative values clipped to 0.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from problems.base import Instance

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""The values of TF (tardiness factor) and RDD (range of due dates)."""


def generate(split: str, n: int, tf: float, rdd: float, index: int) -> Instance:
    """One instance, the same for the same arguments on every machine."""
    key = hashlib.sha256(f"smtt {split} {n} {tf:.1f} {rdd:.1f} {index}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(key))))
    p = rng.integers(1, 100, size=n, endpoint=True)
    total = int(p.sum())
    low = math.ceil(total * (1 - tf - rdd / 2))
    high = math.floor(total * (1 - tf + rdd / 2))
    d = np.maximum(rng.integers(low, high, size=n, endpoint=True), 0)
    name = f"{split}-n{n}-tf{tf:.1f}-rdd{rdd:.1f}-{index}"
    return Instance(name, {"p": p, "d": d}, classes=(f"n={n}", difficulty(tf, rdd)))


def difficulty(tf: float, rdd: float) -> str:
    """The class a grid cell is reported under.

    `hard`: RDD = .2 and TF = .4 … .8, where rules lose most. `robust`: TF = .2, optima zero or tiny, so that
    ratios mean little. `regular`: the rest.
    """
    if tf == 0.2:
        return "robust"
    return "hard" if rdd == 0.2 and tf in (0.4, 0.6, 0.8) else "regular"


def grid(split: str, sizes: Sequence[int], per_cell: int, tfs: Iterable[float] = LEVELS) -> list[Instance]:
    """`per_cell` instances of every cell of the grid, for every size in `sizes`."""
    tfs = tuple(tfs)
    return [
        generate(split, n, tf, rdd, index) for n in sizes for tf in tfs for rdd in LEVELS for index in range(per_cell)
    ]
