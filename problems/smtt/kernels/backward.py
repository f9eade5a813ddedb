"""The backward pass: values by increasing size of the set; and the sequence read off them."""

from __future__ import annotations

import numpy as np

from engine_bridge.jit import inlined
from problems.base import Array
from problems.smtt.kernels.tables import NONE, Jobs, Tables, add_values, bisect, list_members, value


@inlined
def backward(jobs: Jobs, tables: Tables) -> int:
    """Compute the value of every set at every start time; returns that of the root."""
    cost = np.empty(1024, np.int64)
    for size in range(1, jobs.p.size + 1):
        s = tables.by_size[size]
        while s != NONE:
            known = tables.sets[s]
            if cost.size < known.states:
                cost = np.empty(2 * known.states, np.int64)
            if known.states:
                for b in range(known.branch, known.branch + known.branches):
                    minimise(jobs, tables, s, b, cost)
            s = known.next
    return value(tables, 0, 0)


@inlined
def minimise(jobs: Jobs, tables: Tables, s: int, b: int, cost: Array) -> None:
    """Lower the values of a set to the cost of branch b where that is less."""
    known, branch = tables.sets[s], tables.branches[b]
    times = tables.times[known.state : known.state + known.states]
    values = tables.values[known.state : known.state + known.states]
    edges = tables.edges[branch.edge : branch.edge + branch.edges]
    due = jobs.d[known.longest] - branch.work
    for i in range(edges.size):
        cost[i] = max(0, edges[i] - due)
    add_values(tables, branch.left, 0, edges, cost)
    add_values(tables, branch.right, branch.work, edges, cost)
    at = bisect(times, 0, times.size, edges[0] - 1)
    for i in range(edges.size):
        while times[at] < edges[i]:
            at += 1
        values[at] = min(values[at], cost[i])


@inlined
def best_branch(jobs: Jobs, tables: Tables, s: int, t: int) -> int:
    """A branch of the set that attains its value at t, or NONE, if that is a limit."""
    known = tables.sets[s]
    target = value(tables, s, t)
    for b in range(known.branch, known.branch + known.branches):
        branch = tables.branches[b]
        end = branch.edge + branch.edges
        at = bisect(tables.edges, branch.edge, end, t - 1)
        if at < end and tables.edges[at] == t:
            cost = max(0, t + branch.work - jobs.d[known.longest])
            if branch.left != NONE:
                cost += value(tables, branch.left, t)
            if branch.right != NONE:
                cost += value(tables, branch.right, t + branch.work)
            if cost <= target:
                return b
    return NONE


@inlined
def trace(jobs: Jobs, tables: Tables) -> Array:
    """A sequence of all jobs that follows the tables, as job numbers in EDD order; optimal if they hold f."""
    n = jobs.p.size
    sequence, members = np.empty(n, np.int64), np.empty(n, np.int64)
    stack = np.empty((2 * n + 1, 2), np.int64)  # (set, start time), or (NONE, job)
    stack[0] = 0
    depth, placed = 1, 0
    while depth:
        depth -= 1
        s, t = stack[depth]
        if s == NONE:
            sequence[placed] = t
            placed += 1
            continue
        known = tables.sets[s]
        b = best_branch(jobs, tables, s, t) if known.states and known.early < t < known.late else NONE
        if b != NONE:
            branch = tables.branches[b]
            if branch.right != NONE:
                stack[depth] = branch.right, t + branch.work & -tables.grain
                depth += 1
            stack[depth] = NONE, known.longest
            depth += 1
            if branch.left != NONE:
                stack[depth] = branch.left, t
                depth += 1
        else:
            m = list_members(jobs, tables, s, members)
            if t > known.early:  # every job is tardy: SPT
                members[:m] = jobs.by_rank[np.sort(jobs.rank[members[:m]])]
            sequence[placed : placed + m] = members[:m]
            placed += m
    return sequence
