"""The baselines' gaps to certified optima, against the figures the project's reference gives for n = 50."""

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from problems.smtt.exact import solve
from problems.smtt.instances import LEVELS, generate
from problems.smtt.problem import total_tardiness

FOLDER = Path(__file__).parents[3] / "problems" / "smtt" / "baselines" / "schedule"
PER_CELL = 4


class Gaps(NamedTuple):
    """Gaps of one baseline in per cent: mean over optimum > 0, and of the sums."""

    mean: float
    ratio: float


REFERENCE = {
    "edd": Gaps(51.8, 48.4),
    "mdd": Gaps(1.77, 0.63),
    "wi": Gaps(1.77, 0.63),
    "psk": Gaps(1.76, 0.62),
    "atc": Gaps(5.13, 0.94),
    "covert": Gaps(21.1, 1.25),
    "eddc": Gaps(17.5, 2.65),
    "mddc": Gaps(1.38, 0.50),
    "augmdd": Gaps(1.04, 0.40),
    "augmddc": Gaps(0.83, 0.32),
    "mdd_insertion": Gaps(0.56, 0.19),
}
"""The reference's figures for n = 50, 25 cells."""

HEAVY_TAILED = {"atc", "covert"}
"""Rules whose mean gap hangs on a few instances with tiny optima: from seed to seed it moves by factors."""


def negative_part(p: np.ndarray, tf: float, rdd: float) -> float:
    """Expected sum of (−d)⁺ over the jobs, before due dates below 0 are clipped: n·E(−d)⁺, d uniform.

    Unclipped, those jobs would be tardy by −d more in every order, the best one included. The reference's sums
    agree with ours if they hold this constant (over 1,000 instances MDD loses .69 % with it, .81 % without), so
    it belongs below the line when gaps of sums are compared. Mean gaps hardly notice it.
    """
    low, high = p.sum() * (1 - tf - rdd / 2), p.sum() * (1 - tf + rdd / 2)
    return float(len(p) * min(0.0, low) ** 2 / (2 * (high - low)))


@pytest.fixture(scope="module")
def gaps() -> dict[str, Gaps]:
    """Gaps of every baseline on the test split's grid, n = 50, to optima of the exact solver."""
    cells = [(tf, rdd, index) for tf in LEVELS for rdd in LEVELS for index in range(PER_CELL)]
    instances = [generate("test", 50, *cell) for cell in cells]
    optima = np.array([solve(i["p"], i["d"]).value for i in instances], dtype=float)
    constant = sum(negative_part(i["p"], tf, rdd) for i, (tf, rdd, _) in zip(instances, cells, strict=True))
    result = {}
    for name in (*REFERENCE, "panneerselvam", "spt"):
        schedule = load(name)
        costs = np.array([total_tardiness(i["p"], i["d"], schedule(i["p"], i["d"])) for i in instances])
        assert (costs >= optima).all(), f"{name} beats a certified optimum"
        excess, some = costs - optima, optima > 0
        ratio = excess.sum() / (optima.sum() + constant)
        result[name] = Gaps(100 * float((excess[some] / optima[some]).mean()), 100 * float(ratio))
    return result


def load(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """`schedule` of one baseline file."""
    spec = importlib.util.spec_from_file_location(f"gaps_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schedule: Callable[[np.ndarray, np.ndarray], np.ndarray] = module.schedule
    return schedule


@pytest.mark.parametrize("name", REFERENCE)
def test_the_gap_of_the_sums_is_the_reference_row(name: str, gaps: dict[str, Gaps]) -> None:
    """Within 25 %, or .15 points where the gap is small."""
    assert gaps[name].ratio == pytest.approx(REFERENCE[name].ratio, rel=0.25, abs=0.15)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_mean_gap_is_the_reference_row(name: str, gaps: dict[str, Gaps]) -> None:
    """Within 25 %, or .15 points where the gap is small; within a factor of 4 where the mean is heavy-tailed."""
    expected = REFERENCE[name].mean
    if name in HEAVY_TAILED:
        assert expected / 4 <= gaps[name].mean <= expected * 4
    else:
        assert gaps[name].mean == pytest.approx(expected, rel=0.25, abs=0.15)


def test_the_rules_rank_as_in_the_reference(gaps: dict[str, Gaps]) -> None:
    """From the strongest to the weakest by the gap of the sums; MDD and PSK are too close to call."""
    for stronger, weaker in pairwise(("mdd_insertion", "augmddc", "augmdd", "mddc", "mdd", "atc", "eddc", "edd")):
        assert gaps[stronger].ratio < gaps[weaker].ratio, f"{stronger} against {weaker}"


@pytest.mark.parametrize("name", ["panneerselvam", "spt"])
def test_the_poor_rules_are_poor(name: str, gaps: dict[str, Gaps]) -> None:
    """No row in the reference, which calls Panneerselvam's rule poor: it and SPT lose tens of per cent."""
    assert 15 < gaps[name].ratio < 45
