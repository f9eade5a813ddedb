"""The skeleton of an SMTT scheduling procedure: dispatch by a priority, then improve by moving jobs.

The functions below are the fixed part of every file written from the skeleton; `priority` and the constants
stand for what is left open.
"""

from __future__ import annotations

import inspect

import numpy as np

from problems.base import Argument
from problems.skeleton import Skeleton

AUGMENT = 0
BLOCK = 1
PASSES = 8


def schedule(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs: dispatched by priority, then improved by up to PASSES sweeps of moves."""
    order = dispatch(p, d)
    for _ in range(PASSES):
        improved = sweep(order, p, d)
        if np.array_equal(improved, order):
            break
        order = improved
    return order


def dispatch(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Order of the jobs in which the remaining one of lowest priority goes next; ties by (d, p).

    With AUGMENT, every append is followed by the best move of one scheduled job to the end.
    """
    order = np.lexsort((p, d))
    t = 0.0
    for i in range(len(order)):
        rest = order[i:]
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        rest[: k + 1] = np.roll(rest[: k + 1], 1)
        t += float(p[rest[0]])
        if AUGMENT:
            move_one_to_end(order[: i + 1], p, d)
    return order


def move_one_to_end(part: np.ndarray, p: np.ndarray, d: np.ndarray) -> None:
    """Move the job whose move to the end saves most total tardiness, if any does; in place."""
    length = p[part]
    late = np.cumsum(length) - d[part]
    tardy = np.maximum(late, 0)
    saved = np.triu(np.minimum.outer(length, tardy), 1).sum(axis=1)
    gain = saved + tardy - np.maximum(length.sum() - d[part], 0)
    i = int(np.argmax(gain))
    if gain[i] > 0:
        part[i:] = np.roll(part[i:], -1)


def sweep(order: np.ndarray, p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Put each job, and each run of up to BLOCK jobs, where the total tardiness is least."""
    for size in range(1, min(BLOCK, len(order)) + 1):
        for i in range(len(order) - size + 1):
            order = best_place(order, i, size, p, d)
    return order


def best_place(order: np.ndarray, i: int, size: int, p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The order with the `size` jobs from position i on moved, as they are, to their best place."""
    block, rest = order[i : i + size], np.concatenate((order[:i], order[i + size :]))
    due = d[rest]
    end = np.cumsum(p[rest])
    inside = np.cumsum(p[block])
    start = np.concatenate(([0.0], end))
    cost = np.maximum(start[:, None] + (inside - d[block]), 0).sum(axis=1)
    cost[1:] += np.cumsum(np.maximum(end - due, 0))
    cost[:-1] += np.cumsum(np.maximum(end + inside[-1] - due, 0)[::-1])[::-1]
    k = int(np.argmin(cost))
    if cost[k] >= cost[i] - 1e-9:
        return order
    return np.concatenate((rest[:k], block, rest[k:]))


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: MDD, until another expression takes its place."""
    due: np.ndarray = np.maximum(t + p, d)
    return due


SKELETON = Skeleton(
    function="priority",
    arguments=(
        Argument("p", "processing times of the remaining jobs", sign="positive"),
        Argument("d", "due dates of the remaining jobs", sign="nonnegative"),
        Argument("t", "the current time", "scalar", "nonnegative"),
    ),
    parameters={"AUGMENT": (0, 1), "BLOCK": (1, 2, 3), "PASSES": (0, 1, 2, 4, 8, 16)},
    source="\n\n".join(inspect.getsource(part) for part in (schedule, dispatch, move_one_to_end, sweep, best_place)),
)
"""What the genetic proposer fills in for the problem `smtt`."""
