"""The forward pass: every job set and start time that may be needed, by decreasing size of the set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine_bridge.jit import inlined
from problems.base import Array
from problems.smtt.kernels.tables import (
    BRANCHES,
    EDGES,
    INFINITE,
    NONE,
    SETS,
    STATES,
    Jobs,
    Tables,
    add_values,
    bisect,
    find,
    intern,
    list_members,
    within_budget,
)


class Group(NamedTuple):
    """The jobs of one set in EDD order, and the work p_1 + … + p_i up to each; filled anew for every set."""

    members: Array
    work: Array


@inlined
def describe(jobs: Jobs, tables: Tables, s: int, group: Group) -> None:
    """List the jobs of a set in `group`, and find where its closed forms hold."""
    p, d, members, work = jobs.p, jobs.d, group.members, group.work
    m = list_members(jobs, tables, s, members)
    total, slack, early, late = 0, INFINITE, INFINITE, -INFINITE
    for i in range(m):
        j = members[i]
        total += p[j]
        work[i] = total
        early = min(early, max(slack, d[j] - total))
        slack = min(slack, d[j] - total)
        late = max(late, d[j] - p[j])
    first, last = tables.sets[s].first, tables.sets[s].last
    total, lateness = 0, 0
    for i in range(jobs.rank[tables.sets[s].longest] + 1):
        j = jobs.by_rank[i]
        inside = (first <= j) & (j <= last)
        total += p[j] * inside
        lateness += (total - d[j]) * inside
    tables.sets[s].slack, tables.sets[s].early = slack, early
    tables.sets[s].late, tables.sets[s].lateness = late, lateness


@inlined
def request(tables: Tables, asked: int, early: int, late: int) -> tuple[int, int, int, int]:
    """One request for a set, coded 2·branch + side: (next request, edges from, edges to, shift).

    Edge + shift, rounded down, is a start time in early+1 … late−1, where the set has no closed form.
    """
    branch = tables.branches[asked >> 1]
    following = branch.right_next if asked & 1 else branch.left_next
    shift = branch.work if asked & 1 else 0
    rest = tables.grain - 1
    end = branch.edge + branch.edges
    begin = bisect(tables.edges, branch.edge, end, (early | rest) - shift)
    return following, begin, bisect(tables.edges, begin, end, (late - 1 | rest) - shift), shift


@inlined
def gather(tables: Tables, s: int, pruned: bool) -> bool:
    """Append to `times` the start times that a set is asked for, with their limits; False if they do not fit.

    Those with a closed form are left out. Times that lie close together are marked and collected, others sorted.
    """
    early, late = tables.sets[s].early, tables.sets[s].late
    total, low, high = 0, INFINITE, -INFINITE
    asked = tables.sets[s].asked
    while asked != NONE:
        asked, begin, end, shift = request(tables, asked, early, late)
        if begin < end:
            total += end - begin
            low = min(low, tables.edges[begin] + shift & -tables.grain)
            high = max(high, tables.edges[end - 1] + shift & -tables.grain)
    start = tables.used[STATES]
    if start + total > tables.times.size:
        return False
    if total > 0 and high - low < min(tables.marks.size, 64 * total):
        count = collect_marked(tables, s, low, high)
    else:
        count = collect_sorted(tables, s, total)
    tables.sets[s].state = start
    tables.sets[s].states = count
    tables.used[STATES] += count
    set_limits(tables, s, pruned)
    return True


@inlined
def collect_marked(tables: Tables, s: int, low: int, high: int) -> int:
    """Append the distinct start times, all in low … high, by marking them in an array; returns how many."""
    marks, times, edges = tables.marks, tables.times, tables.edges
    early, late = tables.sets[s].early, tables.sets[s].late
    asked = tables.sets[s].asked
    while asked != NONE:
        asked, begin, end, shift = request(tables, asked, early, late)
        for i in range(begin, end):
            marks[(edges[i] + shift & -tables.grain) - low] = 1
    start = tables.used[STATES]
    count = 0
    for i in range(high - low + 1):
        if marks[i]:
            times[start + count] = low + i
            count += 1
            marks[i] = 0
    return count


@inlined
def collect_sorted(tables: Tables, s: int, total: int) -> int:
    """Append the distinct ones of `total` start times by sorting them; returns how many."""
    edges = tables.edges
    times = tables.times[tables.used[STATES] : tables.used[STATES] + total]
    early, late = tables.sets[s].early, tables.sets[s].late
    asked = tables.sets[s].asked
    count = 0
    while asked != NONE:
        asked, begin, end, shift = request(tables, asked, early, late)
        for i in range(begin, end):
            times[count] = edges[i] + shift & -tables.grain
            count += 1
    times.sort()
    distinct = min(total, 1)
    for i in range(1, total):
        if times[i] != times[i - 1]:
            times[distinct] = times[i]
            distinct += 1
    return distinct


@inlined
def set_limits(tables: Tables, s: int, pruned: bool) -> None:
    """Give every start time of a set the largest limit it is asked for with, as its value so far."""
    known = tables.sets[s]
    times = tables.times[known.state : known.state + known.states]
    values = tables.values[known.state : known.state + known.states]
    values[:] = -INFINITE if pruned else INFINITE
    asked = known.asked if pruned else NONE
    while asked != NONE:
        limits = tables.limits[asked & 1]
        asked, begin, end, shift = request(tables, asked, known.early, known.late)
        at = 0
        if begin < end:
            at = bisect(times, 0, times.size, (tables.edges[begin] + shift & -tables.grain) - 1)
        for i in range(begin, end):
            t = tables.edges[i] + shift & -tables.grain
            while times[at] < t:
                at += 1
            values[at] = max(values[at], limits[i])


@inlined
def advance(times: Array, rise: Array, open_: Array, pk: int, dk: int, px: int, dx: int, work: int) -> int:
    """Move the longest job from position r to r+1, past job x, for many start times at once.

    `rise` is T(r) minus the least T before r, and is updated to r+1. `open_` becomes negative where r is a
    candidate: rise < 0, and T(r+1) ≥ T(r). `work` is p_1 + … + p_{r+1}. Returns a negative number if some r is a
    candidate.
    """
    some = 0
    for i in range(times.size):
        later = min(px, max(times[i] + work - dk, 0))
        earlier = min(pk, max(times[i] + work - dx, 0))
        change = later - earlier
        candidate = rise[i] & ~change
        rise[i] = max(rise[i], 0) + change
        open_[i] = candidate
        some |= candidate
    return some


@inlined
def expand(jobs: Jobs, tables: Tables, coarse: Tables, s: int, group: Group, scratch: Array) -> bool:
    """Open a branch for every position that is not eliminated at every start time; False if out of room.

    Only start times in a window need work at position r. Before it (C_{r+1} ≤ d_k) T does not change. After it
    (`beyond`), k and all jobs behind it stay tardy, so T falls to the end, strictly, as k is longer than they.
    """
    p, d, members, work, m = jobs.p, jobs.d, group.members, group.work, tables.sets[s].size
    states, k = tables.sets[s].states, tables.sets[s].longest
    times = tables.times[tables.sets[s].state : tables.sets[s].state + states]
    rise, open_, beyond = scratch[0, :states], scratch[1, :states], scratch[2]
    slack = -INFINITE
    w = m - 1
    while members[w] != k:
        slack = max(slack, d[members[w]] - work[w])
        w -= 1
        beyond[w] = max(d[k] - work[w], slack + p[k])
    rise[:] = -1
    low, high = 0, states
    for r in range(w, m - 1):
        while high > low and times[high - 1] >= beyond[r]:
            high -= 1
            fall = (m - 1 - r) * p[k] - (work[m - 1] - work[r])
            rise[high] = -1 if rise[high] < fall else 0
        if r > w:
            if r == w + 1:
                low = high
            while low > 0 and times[low - 1] + work[r + 1] > d[k]:
                low -= 1
        if high == 0:
            break
        if low >= high:
            continue
        x = members[r + 1]
        some = advance(times[low:high], rise[low:high], open_[low:high], p[k], d[k], p[x], d[x], work[r + 1])
        if some < 0 and not open_branch(jobs, tables, coarse, s, group, r, low, open_[low:high]):
            return False
    return open_branch(jobs, tables, coarse, s, group, m - 1, 0, rise)


@inlined
def open_branch(
    jobs: Jobs, tables: Tables, coarse: Tables, s: int, group: Group, r: int, low: int, open_: Array
) -> bool:
    """Record position r as a branch for the start times low + i where `open_[i]` is negative; False if out of room."""
    known, used = tables.sets[s], tables.used
    edge = end = used[EDGES]
    if (
        edge + open_.size >= tables.edges.size
        or used[BRANCHES] >= tables.branches.size
        or used[SETS] + 2 > tables.sets.size
    ):
        return False
    times = tables.times[known.state + low : known.state + known.states]
    limits = tables.values[known.state + low : known.state + known.states]
    due = jobs.d[known.longest] - group.work[r]
    for i in range(open_.size):
        tables.edges[end] = times[i]
        tables.limits[0, end] = limits[i] - max(0, times[i] - due)
        end += open_[i] < 0
    left = identify(jobs, group.members[: r + 1], known.longest)
    right = identify(jobs, group.members[r + 1 : known.size], known.longest)
    if coarse.used[SETS] > 0:
        end = prune(tables, coarse, left, right, group.work[r], edge, end)
    if edge < end:
        used[EDGES] = end
        known.branches += 1
        branch = tables.branches[used[BRANCHES]]
        branch.edge, branch.edges, branch.work = edge, end - edge, group.work[r]
        branch.left, branch.left_next = ask(tables, left, 2 * used[BRANCHES])
        branch.right, branch.right_next = ask(tables, right, 2 * used[BRANCHES] + 1)
        used[BRANCHES] += 1
    return True


@inlined
def identify(jobs: Jobs, members: Array, without: int) -> tuple[int, int, int, int]:
    """First, last and longest job, and size, of the set of `members` except one job."""
    first, last, longest, size = NONE, NONE, NONE, 0
    for i in range(members.size):
        j = members[i]
        if j != without:
            first = j if size == 0 else first
            last = j
            longest = j if size == 0 or jobs.rank[j] > jobs.rank[longest] else longest
            size += 1
    return first, last, longest, size


@inlined
def ask(tables: Tables, identity: tuple[int, int, int, int], request: int) -> tuple[int, int]:
    """Make a request for a set; returns its number and the request before, or NONE for the empty set."""
    first, last, longest, size = identity
    if size == 0:
        return NONE, NONE
    s = intern(tables, first, last, longest, size)
    before = tables.sets[s].asked
    tables.sets[s].asked = request
    return s, before


@inlined
def prune(
    tables: Tables,
    coarse: Tables,
    left: tuple[int, int, int, int],
    right: tuple[int, int, int, int],
    work: int,
    edge: int,
    end: int,
) -> int:
    """Drop the edges in edge … end−1 whose branch reaches its limit; limit the others. Returns the new end.

    On entry `limits[0]` is the limit on f(L_r) + f(R_r); each then takes what the bound on the other leaves.
    """
    edges, limits = tables.edges, tables.limits
    bounds = np.zeros((2, end - edge), np.int64)
    if left[3] > 0:
        add_values(coarse, find(coarse, left[0], left[1], left[2]), 0, edges[edge:end], bounds[0])
    if right[3] > 0:
        add_values(coarse, find(coarse, right[0], right[1], right[2]), work, edges[edge:end], bounds[1])
    kept = edge
    for i in range(end - edge):
        limit = limits[0, edge + i]
        edges[kept] = edges[edge + i]
        limits[0, kept] = limit - bounds[1, i]
        limits[1, kept] = limit - bounds[0, i]
        kept += bounds[0, i] + bounds[1, i] < limit
    return kept


@inlined
def forward(jobs: Jobs, tables: Tables, coarse: Tables, limit: int) -> bool:
    """Find every set and start time that the root, all jobs from time 0, may need; False if out of room.

    `coarse` is empty or a coarser decomposition after `backward`; values of the root from `limit` on are of no
    interest.
    """
    n = jobs.p.size
    group = Group(np.empty(n, np.int64), np.empty(n, np.int64))
    scratch = np.empty((3, n), np.int64)
    tables.branches[0].left, tables.branches[0].left_next = ask(tables, (0, n - 1, jobs.by_rank[n - 1], n), 0)
    tables.branches[0].right = tables.branches[0].right_next = NONE
    tables.branches[0].work, tables.branches[0].edge, tables.branches[0].edges = 0, 0, 1
    tables.edges[0], tables.limits[0, 0] = 0, limit
    tables.used[BRANCHES] = tables.used[EDGES] = 1
    room = True
    for size in range(n, 0, -1):
        s = tables.by_size[size]
        while s != NONE:
            describe(jobs, tables, s, group)
            room = room and within_budget(tables) and gather(tables, s, coarse.used[SETS] > 0)
            if room and tables.sets[s].states:
                if scratch.shape[1] < tables.sets[s].states:
                    scratch = np.empty((3, 2 * tables.sets[s].states), np.int64)
                tables.sets[s].branch = tables.used[BRANCHES]
                room = expand(jobs, tables, coarse, s, group, scratch)
            if not room:
                tables.sets[s].states = 0
            s = tables.sets[s].next
    return room
