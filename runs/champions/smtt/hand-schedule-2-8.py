# Idea: start from two dispatching orders and from due dates with long jobs stepping back, which finds where long jobs belong; cheap descents, since only the most promising moves are looked at again.
from heapq import heappop, heappush

import numpy as np

PARTS = ((0.0, 1.0), (0.0, 0.7), (0.3, 1.0), (0.0, 0.5))


def schedule(p, d):
    n, total = len(p), float(p.sum())
    exact = np.float32 if total < 2**23 else float  # sums of whole numbers stay exact
    p, d = p.astype(exact), d.astype(exact)
    order = descended(dispatched(p, d, 0.4, 0.6), p, d, anywhere)
    cost = tardiness(order, p, d)
    if cost == 0:
        return order
    order, cost = better(order, cost, descended(dispatched(p, d, 0.0, 0.0), p, d, anywhere), p, d)
    lateness, spread = 1 - float(d.mean()) / total, 12**0.5 * float(d.std()) / total
    if 0.25 < lateness < 0.9 and spread < (0.72 if lateness < 0.7 else 0.5):  # elsewhere dispatching is as good
        for first, last in PARTS[: 1 + n // 150]:
            order, cost = better(order, cost, replanned(order, p, d, int(first * n), int(last * n)), p, d)
    return order


def better(order, cost, other, p, d):
    other_cost = tardiness(other, p, d)
    return (other, other_cost) if other_cost < cost else (order, cost)


def tardiness(order, p, d):
    return float(np.maximum(p[order].cumsum() - d[order], 0).sum())


def dispatched(p, d, wait, urge):
    """Next is the shortest job that is late by now, or the one due first if that is due before; long ones count as due later."""
    due, length = d + wait * p, p.tolist()
    by_due, by_start = np.argsort(due, kind="stable").tolist(), np.argsort(d - p, kind="stable").tolist()
    due, latest = due.tolist(), (d - p).tolist()
    n, t, late, known, order = len(due), 0.0, [], bytearray(len(due)), []
    i = k = 0
    while len(order) < n:
        while i < n and latest[by_start[i]] <= t:
            job = by_start[i]
            i += 1
            if not known[job]:
                known[job] = 1
                heappush(late, (length[job], job))
        while k < n and known[by_due[k]]:
            k += 1
        if late and (k == n or t + (1 + urge) * late[0][0] <= due[by_due[k]]):
            job = heappop(late)[1]
        else:
            job = by_due[k]
            known[job] = 1
        order.append(job)
        t += length[job]
    return np.array(order)


def replanned(order, p, d, first, last):
    """The jobs from place `first` to `last` by due date, long ones stepping back while that saves; then a descent."""
    part = order[first:last]
    length, due = p[part], d[part] - p[order[:first]].sum()
    plan = descended(np.argsort(due + 0.5 * length, kind="stable"), length, due, behind)
    return descended(np.concatenate((order[:first], part[plan], order[last:])), p, d, anywhere)


def descended(order, p, d, moves):
    """Move single jobs while that saves tardiness: all at first, then the 16 that saved most when last looked at."""
    n = len(order)
    hope = np.zeros(n)
    look = every = np.arange(n)
    while True:
        place, gain = best_moves(look, p[order], d[order], moves)
        hope[order[look]] = gain
        if gain.max() > 1e-6:
            order = moved(order, look, place, gain)
        elif len(look) == n or moves is behind:
            return order
        left = hope[order]
        look = np.argsort(-left)[:16]
        look = np.sort(look[left[look] > 1e-6])
        if not len(look):
            if moves is behind:
                return order
            look = every


def best_moves(look, length, due, moves):
    """Best new place of the jobs at places `look`, and what it saves; in pieces that stay in the cache."""
    end = length.cumsum()
    late = end - due
    rows = max(16, 16000 // len(length))
    place, best = np.empty(len(look), dtype=int), np.empty(len(look))
    for k in range(0, len(look), rows):
        gain = moves(look[k : k + rows], length, due, end, late)
        gain.argmax(axis=1, out=place[k : k + rows])
        gain.max(axis=1, out=best[k : k + rows])
    return place, best


def behind(look, length, due, end, late):
    """Tardiness saved by moving each of the jobs at `look` to each place behind its own."""
    own, tardy = length[look, None], np.maximum(late, 0)
    later = np.arange(len(length)) > look[:, None]
    gain = np.minimum(tardy, own)
    gain *= later
    gain = gain.cumsum(axis=1)
    gain -= np.maximum(end - due[look, None], 0)
    gain += tardy[look, None]
    gain *= later
    return gain


def anywhere(look, length, due, end, late):
    """Tardiness saved by moving each of the jobs at `look` to any place."""
    own, row = length[look, None], np.arange(len(look))
    ahead = np.arange(len(length)) < look[:, None]
    pushed = own * ahead
    effect = late + pushed
    np.maximum(effect, 0, out=effect)
    np.minimum(effect, own, out=effect)
    effect[row, look] = 0
    gain = effect.cumsum(axis=1)
    gain -= gain[row, look, None]
    effect *= ahead
    gain -= effect
    pushed += end
    pushed -= length * ahead
    pushed -= due[look, None]
    np.maximum(pushed, 0, out=pushed)
    gain -= pushed
    gain += np.maximum(late[look, None], 0)
    return gain


def moved(order, look, place, gain):
    """The order after the best moves, none across another, and none that saves less than half of the best."""
    new, used, least = order.copy(), bytearray(len(order)), 0.5 * gain.max()
    for k in np.argsort(-gain, kind="stable")[: int((gain >= least).sum())].tolist():
        i, j = int(look[k]), int(place[k])
        low, high = (i, j + 1) if i < j else (j, i + 1)
        if 1 in used[low:high]:
            continue
        used[low:high] = b"\1" * (high - low)
        if i < j:
            new[i:j] = order[i + 1 : j + 1]
        else:
            new[j + 1 : i + 1] = order[j:i]
        new[j] = order[i]
    return new
