"""The mean-busy-time area bound: what work on one shared resource costs at least, however it is arranged."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from problems.base import Array


def area_bound(release: Array, area: Array, rate: float, slack: Array) -> float:
    """A lower bound on Σ C_i for jobs that share a resource of `rate` units per unit of time, in O(n log n).

    Job i may use the resource from `release[i]` on and uses `area[i]` of it in all (tokens under a token budget,
    token-rounds of KV memory under a capacity). Its centroid is the mean point in time of that use. Σ centroids is at
    least what a fluid machine achieves that always serves, of what is released, the job with the smallest whole area
    (preemptive WSPT for the weights 1/area: Goemans, "A supermodular relaxation for scheduling with release dates",
    IPCO 1996; Goemans, Queyranne, Schulz, Skutella & Wang, SIAM J. Discrete Math. 15, 2002). `slack[i]` is the least
    that C_i can lie after the centroid of job i, over all ways in which job i may use the resource.

    A time step t of a discrete model is the interval [t − 1, t] if a job that uses the steps k + 1 … k + o has
    C = k + o and may start at k ≥ release: its use in step t then has its centre at t − ½.

    Args:
        release: shape (n,), time.
        area: shape (n,), units of the resource times time, positive.
        rate: units of the resource, positive.
        slack: shape (n,), time.

    Returns:
        The bound, exact up to rounding in double precision (a relative 1e-12 or so): whoever rounds it up
        to a whole number leaves a tolerance. 0 for no jobs.

    Raises:
        ValueError: the arrays differ in length, an area or the rate is not positive, or a number is not finite.
    """
    release, area, slack = (np.asarray(values, dtype=np.float64) for values in (release, area, slack))
    if not release.shape == area.shape == slack.shape or release.ndim != 1:
        raise ValueError(f"release, area and slack differ in shape: {release.shape}, {area.shape}, {slack.shape}")
    if not all(np.isfinite(values).all() for values in (release, area, slack)):
        raise ValueError("release, area and slack must be finite")
    if not 0 < rate < np.inf:
        raise ValueError(f"rate is {rate}; it must be positive and finite")
    if (area <= 0).any():
        raise ValueError(f"area of job {int(np.argmax(area <= 0))} is {area[area <= 0][0]}; areas must be positive")
    return _mean_busy_times(release, area / rate) + float(slack.sum())


def _mean_busy_times(release: Array, duration: Array) -> float:
    """Σ of the mean busy times when the shortest released job is always served, on a machine of rate 1."""
    order = np.argsort(release, kind="stable").tolist()
    releases, durations = release.tolist(), duration.tolist()
    left = list(durations)
    waiting: list[tuple[float, int]] = []
    now, total, arrived = 0.0, 0.0, 0
    while arrived < len(order) or waiting:
        if not waiting:
            now = releases[order[arrived]]
        while arrived < len(order) and releases[order[arrived]] <= now:
            job = order[arrived]
            heappush(waiting, (durations[job], job))
            arrived += 1
        whole, job = waiting[0]
        until = releases[order[arrived]] if arrived < len(order) else np.inf
        served = min(left[job], until - now)
        total += served * (now + served / 2) / whole
        if now + left[job] <= until:
            heappop(waiting)
            now += served
        else:
            left[job] -= served
            now = until
    return total
