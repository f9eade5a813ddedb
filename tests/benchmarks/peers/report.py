"""The comparison as a table: medians over seeds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discovery.study.curves import checkpoints
from evaluators.statistics import median_of
from tests.benchmarks.peers.systems import OURS

RESAMPLES = 10_000
SEEDS = 3
"""Fewer say nothing of how a system's runs differ: no interval is given."""


def best_after(result: Mapping[str, Any], calls: int) -> float:
    """The best train gap, in percent, after so many calls; that of the starting program before the first success."""
    gaps = [each["gap"] for each in result["judged"] if each["gap"] is not None and each["calls"] <= calls]
    return float(min([result["start"], *gaps]))


def ahead(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Difference of the medians, ours minus theirs, with its 95 % bootstrap interval; seeds of each apart."""
    rng = np.random.default_rng(0)
    medians = [
        np.median(np.asarray(values)[rng.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
        for values in (ours, theirs)
    ]
    low, high = np.quantile(medians[0] - medians[1], (0.025, 0.975))
    return float(np.median(ours) - np.median(theirs)), float(low), float(high)


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """One line per system, and one per system that ours is compared with."""
    systems: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        systems.setdefault(result["system"], []).append(result)
    calls = results[0]["calls"]
    places = checkpoints(calls)
    heading = [f"{'best train gap in % after … calls':34}", *(f"{place:>7}" for place in places)]
    heading += [
        f"{'95 % interval':>18}",
        *map("{:>9}".format, ("test", "valid", "in/call", "out/call", "cand.", "CPU s/c")),
    ]
    lines = ["".join(heading)]
    for name, found in systems.items():
        after = [median_of([best_after(result, place) for result in found]) for place in places]
        total = sum(result["calls"] for result in found)
        candidates = sum(result["candidates"] for result in found)
        row = [f"{name + ' (' + found[0]['version'].partition('==')[2] + f', {len(found)} seeds)':34}"]
        row += [f"{each.value:7.3f}" for each in after]
        interval = f"{after[-1].low:.3f} … {after[-1].high:.3f}" if len(found) >= SEEDS else "–"
        row += [f"{interval:>18}"]
        row += [f"{np.median([result['test'] for result in found]):9.3f}"]
        row += [f"{100 * np.mean([result['valid'] for result in found]):7.0f} %"]
        row += [f"{sum(result[kind] for result in found) / total:9.0f}" for kind in ("input_tokens", "output_tokens")]
        row += [f"{candidates / len(found):9.0f}", f"{sum(r['cpu_seconds'] for r in found) / candidates:9.2f}"]
        lines.append("".join(row))
    lines += _comparisons(systems, calls)
    return "\n".join(lines)


def _comparisons(systems: Mapping[str, Sequence[Mapping[str, Any]]], calls: int) -> list[str]:
    lines = []
    ours = [best_after(result, calls) for result in systems.get(OURS, ())]
    for name, found in systems.items():
        if ours and name != OURS:
            difference, low, high = ahead(ours, [best_after(result, calls) for result in found])
            enough = min(len(ours), len(found)) >= SEEDS
            interval = f"95 % interval {low:+.3f} … {high:+.3f}" if enough else f"less than {SEEDS} seeds: no interval"
            lines.append(f"{OURS} minus {name}: {difference:+.3f} points, {interval}")
    return lines
