"""Combinatorial bounds on chunked prefill with stall-free decodes, all in O(n log n) or with small factors.

Iteration t is the interval [t, t + 1]. Whatever the schedule, request i uses

- p_i + o_i − 1 tokens of the budget, and its last o_i − 1 of them one an iteration;
- at least p_i tokens of KV in the iteration t_i that finishes its prompt, p_i + j in iteration t_i + j for j < o_i,
  and, as a chunk is no larger than B, at least p_i − jB in iteration t_i − j.

Each profile has an area, and its centroid cannot lie closer to C_i = t_i + o_i than if the prompt is prefilled as
late as possible.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from problems.area import area_bound
from problems.base import Array, Instance
from problems.batch_order.schedule import first_finish

TOLERANCE = 1e-9
"""What floating point may add to a bound, relative to max(1, |bound|), before it is rounded up."""

MIXES = (0.25, 0.5, 0.75)
"""Shares of the token row in bounds on both rows together."""

SUFFIXES = 64
"""How many release suffixes are looked at; any subset of them gives a valid bound."""


class Step(NamedTuple):
    """One rung of the ladder."""

    value: float
    method: str


class Profile(NamedTuple):
    """What requests use of one resource at least: areas, the least C_i − centroid, shape (n,), and its rate."""

    area: Array
    slack: Array
    rate: float


def prefill(instance: Instance) -> Profile:
    """The prompts' tokens alone, under the token budget."""
    p, budget = instance["prompt"].astype(float), float(instance["budget"])
    whole, rest = np.divmod(p, budget)  # full chunks in t_i, t_i − 1, …, the rest before them
    before = budget * whole * (whole - 1) / 2 + rest * whole
    return Profile(p, instance["output"] - 0.5 + before / p, budget)


def tokens(instance: Instance) -> Profile:
    """All tokens processed, prompts and decodes, under the token budget."""
    p, o = instance["prompt"].astype(float), instance["output"].astype(float)
    prompts = prefill(instance)
    decoded = o - 1
    moment = p * prompts.slack + decoded * decoded / 2  # the j-th last decode has its centre at C_i − j + ½
    return Profile(p + decoded, moment / (p + decoded), prompts.rate)


def kv(instance: Instance) -> Profile:
    """Token-iterations of KV memory, under the capacity."""
    p, o = instance["prompt"].astype(float), instance["output"].astype(float)
    budget = float(instance["budget"])
    chunks = np.ceil(p / budget) - 1  # iterations before t_i that the prompt needs at least
    early = chunks * p - budget * chunks * (chunks + 1) / 2
    late = o * p + o * (o - 1) / 2
    # Moments about the middle of iteration t_i: Σ j·(p + j) after it, Σ j·(p − jB) before it.
    after = p * o * (o - 1) / 2 + (o - 1) * o * (2 * o - 1) / 6
    before = p * chunks * (chunks + 1) / 2 - budget * chunks * (chunks + 1) * (2 * chunks + 1) / 6
    area = early + late
    return Profile(area, o - 0.5 - (after - before) / area, float(instance["capacity"]))


def mixed(first: Profile, second: Profile, share: float) -> Profile:
    """Both rows at once: share·row₁/rate₁ + (1 − share)·row₂/rate₂ ≤ 1 in every iteration."""
    one, other = share * first.area / first.rate, (1 - share) * second.area / second.rate
    return Profile(one + other, (one * first.slack + other * second.slack) / (one + other), 1.0)


def isolated(instance: Instance) -> Array:
    """Completion of each request if it were alone: a_i + ⌈p_i/B⌉ − 1 + o_i; shape (n,)."""
    return np.asarray(np.array(first_finish(instance)) + instance["output"])


def completion_ladder(instance: Instance) -> list[Step]:
    """Lower bounds on Σ C_i: mean busy times (`problems.area`), and every request alone."""
    prompts, work, memory = prefill(instance), tokens(instance), kv(instance)
    profiles = {"area: prefill tokens": prompts, "area: tokens": work, "area: KV": memory}
    profiles |= {f"area: {share:g} tokens + {1 - share:g} KV": mixed(work, memory, share) for share in MIXES}
    steps = [Step(float(isolated(instance).sum()), "isolated latencies")]
    for method, (area, slack, rate) in profiles.items():
        steps.append(Step(_round_up(area_bound(instance["arrival"], area, rate, slack)), method))
    return steps


def makespan_ladder(instance: Instance) -> list[Step]:
    """Lower bounds on max C_i, the resources' ones for every release suffix (the requests that arrive from r on).

    Tokens and KV: r + ⌈area/rate⌉. Prefill and tail: of the requests with o_i ≥ q, the last prompt is finished no
    earlier than in iteration r + ⌈Σ p_i/B⌉ − 1, and q − 1 decodes follow.
    """
    arrival, output = instance["arrival"], instance["output"]
    steps = [Step(float(isolated(instance).max()), "longest request")]
    by_output = np.argsort(-output, kind="stable")
    best = {"prefill and tail": 0.0, "tokens": 0.0, "KV": 0.0}
    areas = {"tokens": tokens(instance), "KV": kv(instance)}
    for release in _suffixes(arrival):
        later = arrival >= release
        for method, (area, _, rate) in areas.items():
            best[method] = max(best[method], release + _round_up(float(area[later].sum()) / rate))
        chosen = by_output[later[by_output]]
        iterations = -(-np.cumsum(instance["prompt"][chosen]) // int(instance["budget"]))
        best["prefill and tail"] = max(
            best["prefill and tail"], float(release + (iterations + output[chosen]).max() - 1)
        )
    return steps + [Step(value, f"{method} per release suffix") for method, value in best.items()]


def late_ladder(instance: Instance) -> list[Step]:
    """Lower bounds on the number of requests that miss their deadline.

    Those that would miss it alone, and, for every release suffix, what Moore and Hodgson (Management Science 15, 1968)
    drop if the rest share one preemptible resource from r on: tokens or KV by d_i, prompts by d_i − o_i + 1.
    """
    deadline = instance["deadline"]
    hopeless = isolated(instance) > deadline
    steps = [Step(float(hopeless.sum()), "late even alone")]
    rows = {
        "tokens": (tokens(instance), deadline),
        "KV": (kv(instance), deadline),
        "prefill": (prefill(instance), deadline - instance["output"] + 1),
    }
    releases = _suffixes(instance["arrival"])
    for method, ((area, _, rate), due) in rows.items():
        dropped = 0
        for release in releases:
            chosen = (instance["arrival"] >= release) & ~hopeless
            dropped = max(dropped, _moore_hodgson(area[chosen], (due[chosen] - release) * rate))
        steps.append(Step(float(hopeless.sum() + dropped), f"Moore–Hodgson: {method} per release suffix"))
    return steps


def best_step(steps: list[Step]) -> Step:
    """The largest bound; of equal ones the first."""
    return max(steps, key=lambda step: step.value)


def _moore_hodgson(work: Array, due: Array) -> int:
    """The least number of late jobs on one machine, all released at 0: work and due dates in the same unit."""
    kept: list[float] = []
    total, dropped = 0.0, 0
    for limit, amount in sorted(zip(due.tolist(), work.tolist(), strict=True)):
        heappush(kept, -amount)
        total += amount
        if total > limit * (1 + TOLERANCE):
            total += heappop(kept)
            dropped += 1
    return dropped


def _suffixes(arrival: Array) -> list[int]:
    """Release dates, all of them or `SUFFIXES` evenly spread ones, the first always among them."""
    distinct = np.unique(arrival)
    if len(distinct) > SUFFIXES:
        distinct = distinct[np.linspace(0, len(distinct) - 1, SUFFIXES).astype(np.int64)]
    suffixes: list[int] = distinct.tolist()
    return suffixes


def _round_up(bound: float) -> float:
    """The next whole number, as costs are; rounding noise just above one does not count."""
    return float(math.ceil(bound - TOLERANCE * max(1.0, abs(bound))))
