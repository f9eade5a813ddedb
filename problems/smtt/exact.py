"""Certified optima of 1||ΣT_j: minimise Σ max(0, C_j − d_j) over the sequences of n jobs on one machine.

`solve` is exact; the method is in `kernels`. Its limits count states and bytes, never seconds, so a
certificate is the same on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from problems.base import Array, InstanceError
from problems.smtt.kernels.backward import backward, trace
from problems.smtt.kernels.descent import insert
from problems.smtt.kernels.forward import forward
from problems.smtt.kernels.tables import BRANCH, BRANCHES, EDGES, SET, SETS, STATES, Jobs, Tables

METHOD = "Lawler decomposition"
FIRST_TRY = 1 << 18
"""States to make room for at first; small tables are quicker to set up, and enough for most instances."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What `solve` proves about an instance.

    `value` is the least total tardiness if `kind` is "optimal", otherwise a lower bound on it. `sequence` lists
    the jobs, numbered as given, in an order whose total tardiness is `best`. `states` counts the pairs of a job
    set and a start time that were evaluated, and `sets` the job sets, over all tables. `seconds` is CPU time of the
    calling thread; the first call of a process also loads (or compiles) the kernels.
    """

    value: int
    kind: Literal["optimal", "lower"]
    sequence: tuple[int, ...]
    best: int
    method: str
    states: int
    sets: int
    seconds: float


def solve(
    p: Iterable[int],
    d: Iterable[int],
    *,
    start: int = 0,
    max_states: int = 60_000_000,
    max_memory_mb: int = 2048,
) -> Certificate:
    """The least total tardiness of jobs with processing times `p` and due dates `d`, with a sequence.

    Args:
        p: n whole numbers ≥ 0.
        d: n whole numbers of any sign and size.
        start: the time the machine is free at.
        max_states: limit on the pairs of a job set and a start time in one table.
        max_memory_mb: limit on all tables, in MiB; a pair takes some 50 bytes.

    When a limit is reached the result may have kind "lower": a lower bound, and a sequence that is good.

    Raises:
        InstanceError: the values are not whole numbers, `p` and `d` differ in length, a `p` is negative, or n·Σp
            exceeds 2^60, beyond which totals might not fit 64 bits.
        ValueError: a limit is not positive.
    """
    began = time.thread_time()
    if max_states < 1 or max_memory_mb < 1:
        raise ValueError(f"max_states ({max_states}) and max_memory_mb ({max_memory_mb}) must be at least 1")
    p, due = whole_numbers("p", p), [due - start for due in whole_numbers("d", d)]
    check(p, due)
    # No job ends before p_j or after Σp: moving a due date into that interval changes the cost of every sequence alike.
    work = sum(p)
    clipped = [min(max(due_j, p_j), work) for p_j, due_j in zip(p, due, strict=True)]
    unavoidable = sum(max(p_j - due_j, 0) for p_j, due_j in zip(p, due, strict=True))
    order = sorted(range(len(p)), key=lambda j: (clipped[j], p[j]))
    jobs = number(np.array([p[j] for j in order], np.int64), np.array([clipped[j] for j in order], np.int64))
    search = Decomposition(jobs, max_states, max_memory_mb << 20)
    search.run()
    sequence = tuple(order[place] for place in search.sequence)
    best = total_tardiness(p, due, sequence)
    return Certificate(
        value=search.bound + unavoidable,
        kind="optimal" if search.bound + unavoidable == best else "lower",
        sequence=sequence,
        best=best,
        method=METHOD,
        states=search.states,
        sets=search.sets,
        seconds=time.thread_time() - began,
    )


def total_tardiness(p: Sequence[int], d: Sequence[int], sequence: Iterable[int]) -> int:
    """Σ max(0, C_j − d_j) of a sequence started at time 0, in exact arithmetic."""
    completion = total = 0
    for j in sequence:
        completion += p[j]
        total += max(0, completion - d[j])
    return total


def whole_numbers(name: str, values: Iterable[int]) -> list[int]:
    """`values` as Python integers.

    Raises:
        InstanceError: `values` is not a flat sequence of whole numbers.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return cast(list[int], values.tolist())
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    for j, value in enumerate(listed):
        if not isinstance(value, int | np.integer):
            raise InstanceError(
                f"{name}[{j}] is {value!r}, but the exact solver needs whole numbers; "
                "multiply all of p and d by one factor that makes them whole"
            )
    return [int(value) for value in listed]


def check(p: Sequence[int], d: Sequence[int]) -> None:
    """Raise `InstanceError` unless these are processing times and due dates that the kernels can hold."""
    if len(p) != len(d):
        raise InstanceError(f"p has {len(p)} values and d has {len(d)}; give one of each per job")
    if p and min(p) < 0:
        raise InstanceError(f"p[{p.index(min(p))}] is {min(p)}; processing times must be at least 0")
    if len(p) * sum(p) > 1 << 60:
        raise InstanceError(
            f"n·Σp is {len(p) * sum(p)}, above 2^60, so totals might not fit 64 bits; use a coarser unit of time"
        )


def number(p: Array, d: Array) -> Jobs:
    """Jobs in EDD order, with their places in SPT order."""
    by_rank = np.argsort(p, kind="stable")
    rank = np.empty_like(by_rank)
    rank[by_rank] = np.arange(len(p))
    return Jobs(p, d, rank, by_rank)


class Decomposition:
    """The search for an optimal sequence of jobs numbered in EDD order: best bound and best sequence so far."""

    def __init__(self, jobs: Jobs, max_states: int, max_bytes: int) -> None:
        self.jobs = jobs
        self.work = int(jobs.p.sum())
        self.max_states = max_states
        self.max_bytes = max_bytes
        self.bound = 0
        self.best = 1 << 61
        self.sequence: list[int] = list(range(len(jobs.p)))
        self.states = self.sets = 0

    def run(self) -> None:
        """Find an optimal sequence and prove it, unless room runs out.

        Most instances are small enough for the plain decomposition. For the others, one with start times rounded
        to about 4,000 distinct values prunes the exact one; if that is not enough, ever finer ones do.
        """
        nothing = self.reserve(0, 1)
        small = min(FIRST_TRY, self.max_states)
        if not len(self.jobs.p) or self.attempt(nothing, 1, small) is not None:
            return
        grain = 1 << (self.work >> 12).bit_length()
        coarse = self.attempt(nothing, grain, self.max_states)
        while coarse is None and grain <= self.work:
            grain *= 8
            coarse = self.attempt(nothing, grain, self.max_states)
        while coarse is not None and not self.proven:
            room = 8 * int(coarse.used[STATES]) if grain >= 8 else self.max_states
            if self.attempt(coarse, 1, min(room, self.max_states)) is not None or grain < 8:
                return
            grain //= 8
            coarse = self.attempt(coarse, grain, self.max_states)

    @property
    def proven(self) -> bool:
        """Whether the best sequence is optimal."""
        return self.bound == self.best

    def attempt(self, coarse: Tables, grain: int, states: int) -> Tables | None:
        """Decompose with start times rounded down to multiples of `grain`; None if there is not enough room."""
        tables = self.reserve(states, grain, used=used_bytes(coarse))
        complete = forward(self.jobs, tables, coarse, self.best + 1)
        self.bound = max(self.bound, min(self.best, int(backward(self.jobs, tables))))
        sequence = trace(self.jobs, tables)
        if grain > 1 or not complete:  # otherwise it is optimal already
            insert(self.jobs.p, self.jobs.d, sequence)
        cost = total_tardiness(self.jobs.p.tolist(), self.jobs.d.tolist(), sequence.tolist())
        if cost < self.best:
            self.best, self.sequence = cost, sequence.tolist()
        self.states += int(tables.used[STATES])
        self.sets += int(tables.used[SETS])
        return tables if complete else None

    def reserve(self, states: int, grain: int, used: int = 0) -> Tables:
        """Empty tables for that many states, or as many as fit the bytes allowed beside those `used`.

        Most arrays are larger than needed, as memory is given out when first written to. Where many states are
        needed there are 20 to 500 a set, and 1.3 edges a state.
        """
        n = len(self.jobs.p)
        states = min(states, (self.max_bytes - used) // 40)
        sets = states // 8 + 4 * n
        sizes = np.zeros(4, np.int64)
        sizes[SETS], sizes[BRANCHES] = SET.itemsize + 8, BRANCH.itemsize
        sizes[STATES], sizes[EDGES] = 16, 24
        return Tables(
            sets=np.empty(sets, SET),
            slots=np.zeros(1 << min(sets.bit_length(), 20), np.int32),
            by_size=np.full(n + 1, -1, np.int64),
            branches=np.empty(2 * sets, BRANCH),
            times=np.empty(states, np.int64),
            values=np.empty(states, np.int64),
            edges=np.empty(2 * states + 1, np.int64),
            limits=np.empty((2, 2 * states + 1), np.int64),
            marks=np.zeros(min(self.work + 1, 1 << 20), np.uint8),
            used=np.zeros(4, np.int64),
            budget=np.append(sizes, self.max_bytes - used),
            grain=grain,
        )


def used_bytes(tables: Tables) -> int:
    """Bytes of the tables that are in use."""
    return int(tables.used @ tables.budget[:-1])
