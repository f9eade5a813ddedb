"""The tables of the decomposition: job sets, their branches and start times, found and looked up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine_bridge.jit import inlined
from problems.base import Array

NONE = -1
INFINITE = 1 << 62

SET = np.dtype(
    [
        ("first", np.int64),  # first and last job, in EDD order
        ("last", np.int64),
        ("longest", np.int64),  # k
        ("size", np.int64),
        ("next", np.int64),  # next set of the same size
        ("chain", np.int64),  # next set in the same slot of the hash table
        ("asked", np.int64),  # the latest branch that asks for it, coded 2·branch + side
        ("slack", np.int64),  # EDD has a tardy job if started after `slack`, …
        ("early", np.int64),  # … two if started after `early`
        ("late", np.int64),  # every job is tardy, in any order, if started at `late` or later
        ("lateness", np.int64),  # total lateness of SPT started at 0
        ("state", np.int64),  # its start times are times[state : state + states]
        ("states", np.int64),
        ("branch", np.int64),  # its branches are branches[branch : branch + branches]
        ("branches", np.int64),
    ]
)
"""A job set."""

BRANCH = np.dtype(
    [
        ("left", np.int64),  # the sets L_r and R_r, or NONE
        ("right", np.int64),
        ("left_next", np.int64),  # the branch that asked for them before, coded 2·branch + side
        ("right_next", np.int64),
        ("work", np.int64),  # p_1 + … + p_r
        ("edge", np.int64),  # the start times t it is open to are edges[edge : edge + edges]
        ("edges", np.int64),
    ]
)
"""A position r for the longest job of a set."""

SETS, BRANCHES, STATES, EDGES = range(4)
"""What `Tables.used` counts."""


class Jobs(NamedTuple):
    """The jobs in EDD order (int64), and their places in SPT order (ties: EDD order)."""

    p: Array
    d: Array
    rank: Array
    by_rank: Array


class Tables(NamedTuple):
    """Arenas of records and int64 numbers, filled from the front."""

    sets: Array
    slots: Array
    """Hash table: 0 or the number + 1 of a set, head of a list linked by `SET.chain`; 2^b slots."""
    by_size: Array
    """The latest set of each size, head of a list linked by `SET.next`."""
    branches: Array
    times: Array
    """Start times, ascending within a set."""
    values: Array
    """Value of the set at that start time; until `backward` has computed it, its limit."""
    edges: Array
    limits: Array
    """Limits of the left and the right set of a branch at every edge, shape (2, edges)."""
    marks: Array
    """Scratch, all zero between uses."""
    used: Array
    """How many of each are in use; see `SETS`."""
    budget: Array
    """Bytes that one of each takes, then the bytes that all may take."""
    grain: int
    """A power of two."""


@inlined
def within_budget(tables: Tables) -> bool:
    """Whether what is in use fits the memory that may be used."""
    needed = 0
    for i in range(tables.used.size):
        needed += tables.used[i] * tables.budget[i]
    return bool(needed <= tables.budget[tables.used.size])


@inlined
def bisect(array: Array, low: int, high: int, value: int) -> int:
    """The first index in low … high−1 whose entry exceeds `value`, or high; the entries ascend."""
    while low < high:
        middle = (low + high) >> 1
        if array[middle] > value:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def slot_of(tables: Tables, first: int, last: int, longest: int) -> int:
    """Where a set belongs in the hash table."""
    key = ((first * tables.by_size.size + last) * tables.by_size.size + longest) * 0x1E3779B97F4A7C15
    return int((key ^ (key >> 31)) & (tables.slots.size - 1))


@inlined
def find(tables: Tables, first: int, last: int, longest: int) -> int:
    """The number of a set, or NONE if it was not met."""
    sets = tables.sets
    s = tables.slots[slot_of(tables, first, last, longest)] - 1
    while s != NONE:
        if sets[s].first == first and sets[s].last == last and sets[s].longest == longest:
            break
        s = sets[s].chain
    return int(s)


@inlined
def intern(tables: Tables, first: int, last: int, longest: int, size: int) -> int:
    """The number of a set; a new one if it was not met before. The caller has checked that there is room."""
    sets = tables.sets
    s = find(tables, first, last, longest)
    if s == NONE:
        s = tables.used[SETS]
        tables.used[SETS] += 1
        slot = slot_of(tables, first, last, longest)
        sets[s].first, sets[s].last, sets[s].longest, sets[s].size = first, last, longest, size
        sets[s].chain, tables.slots[slot] = tables.slots[slot] - 1, s + 1
        sets[s].next, tables.by_size[size] = tables.by_size[size], s
        sets[s].asked = NONE
        sets[s].states = sets[s].branches = 0
    return s


@inlined
def list_members(jobs: Jobs, tables: Tables, s: int, members: Array) -> int:
    """Write the jobs of a set in EDD order; returns how many."""
    top = jobs.rank[tables.sets[s].longest]
    m = 0
    for j in range(tables.sets[s].first, tables.sets[s].last + 1):
        members[m] = j
        m += jobs.rank[j] <= top
    return m


@inlined
def closed_form(tables: Tables, s: int, t: int) -> int:
    """A lower bound on f(S, t), exact if t ≤ early or t ≥ late."""
    known = tables.sets[s]
    return int(max(0, t - known.slack, known.size * t + known.lateness))


@inlined
def add_values(tables: Tables, s: int, shift: int, edges: Array, cost: Array) -> None:
    """Add the value of a set started at every edge + shift to the cost of that edge (`value` of many); NONE adds 0."""
    if s == NONE:
        return
    known = tables.sets[s]
    times = tables.times[known.state : known.state + known.states]
    values = tables.values[known.state : known.state + known.states]
    at = bisect(times, 0, times.size, edges[0] + shift) if edges.size and times.size else 0
    for i in range(edges.size):
        t = edges[i] + shift
        bound = closed_form(tables, s, t)
        while at < times.size and times[at] <= t:
            at += 1
        cost[i] += max(bound, values[at - 1]) if at > 0 else bound


@inlined
def value(tables: Tables, s: int, t: int) -> int:
    """The value of a set at the latest start time in its table up to t, or its closed form if that is greater."""
    known = tables.sets[s]
    bound = closed_form(tables, s, t)
    if known.states:
        at = bisect(tables.times, known.state, known.state + known.states, t)
        if at > known.state:
            bound = max(bound, tables.values[at - 1])
    return bound
