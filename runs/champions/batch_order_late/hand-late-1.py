# Idea: plan what can be in time, pass over the rest, move requests forward, what runs being unequal.
import bisect
import itertools

import numpy as np

SPARE = 2
LONG, FAR = 16, 128  # longer queues or outputs are left to the rule: planning them would take too long


def place(now, free, running, prompt, output, budget, capacity):
    """(iteration that would finish the prompt of a request admitted now, tokens left in it), or None: no room.

    `running` lists (end, a) by end: a request that holds a + x tokens of memory in iteration x, until its end.
    Memory in use falls only where a request ends, so the iterations before an end are the ones to look at.
    """
    alive, held = len(running), sum(a for _, a in running)
    at, done, spare = now, min(prompt, free), free - prompt
    x = now
    if held + alive * x + done > capacity:
        return None
    for end, a in (*running, (10**18, 0)):
        if done < prompt and alive < budget:
            steps = -((done - prompt) // (budget - alive))
            if steps < end - x:
                at, spare, done = x + steps, done + steps * (budget - alive) - prompt, prompt
            else:
                done += (end - 1 - x) * (budget - alive)
        if done == prompt and at + output <= end:
            return (at, spare) if held + alive * (at + output - 1) + prompt + output - 1 <= capacity else None
        x = end - 1
        if held + alive * x + (done if done < prompt else prompt + x - at) > capacity:
            return None
        held, alive = held - a, alive - 1


def peak(running):
    """The most memory that what runs will hold."""
    alive, held, most = len(running), sum(a for _, a in running), 0.0
    for end, a in running:
        most = max(most, held + alive * (end - 1))
        held, alive = held - a, alive - 1
    return most


def what_runs(state, seed=0):
    """What runs, as (end, a): unequal requests that hold, and will hold at most, what the state says; a guess."""
    count, now = int(state.running), int(state.now)
    if not count:
        return []
    held, most = state.capacity - state.free_kv, state.capacity - state.spare_kv
    number = count * seed + np.arange(count) + 0.5
    share = np.exp(1.5 * (number * 0.618034 % 1) - 0.75)
    share *= held / share.sum()
    spread = np.exp(3.0 * (number * 0.754878 % 1) - 1.5)
    low, high = 0.0, (most + 1) / spread.min()
    for _ in range(16):
        scale = (low + high) / 2
        length = np.maximum(np.round(scale * spread), 1).astype(int)
        running = sorted(zip((now + length).tolist(), (share - now).tolist()))
        low, high = (scale, high) if peak(running) <= most + 0.5 else (low, scale)
    length = np.maximum(np.round(low * spread), 1).astype(int)
    return sorted(zip((now + length).tolist(), (share - now).tolist()))


def plan(order, queue, scene):
    """Admit in this order what will be in time, pass over the rest: (cost, in time, passed over)."""
    now, free, running, budget, capacity = scene
    running, kept, lost, cost = list(running), [], [], 0.0
    for i in order:
        prompt, output, due, alone, use = queue[i]
        while now + alone <= due:
            found = place(now, free, running, prompt, output, budget, capacity) if free > 0 else None
            if found:
                break
            now += 1
            while running and running[0][0] <= now:
                del running[0]
            free = budget - len(running)
        if now + alone > due or found[0] + output > due:
            lost.append(i)
            cost += 1
            continue
        now, free = found
        bisect.insort(running, (now + output, prompt - now))
        while running[0][0] <= now:
            del running[0]
        kept.append(i)
        # Among equals: little use of the server, and then an iteration or two to spare for what will arrive.
        cost += 1e-3 * use - 1e-6 * min(due - now - output, SPARE)
    return cost, kept, lost


def priority(requests, state):
    p, o = requests.prompt, requests.output
    use = (p + o) / state.budget + (o * p + o * (o - 1) / 2) / state.capacity
    alone = np.ceil(p / state.budget) - 1 + o
    columns = (p, o, requests.deadline, alone)
    queue = list(zip(*(column.astype(int).tolist() for column in columns), use.tolist()))
    scene = int(state.now), int(state.free_tokens), what_runs(state), int(state.budget), int(state.capacity)

    def judge(order):
        return plan(order, queue, scene)

    order = np.argsort(use, kind="stable").tolist()
    best, kept, lost = judge(order)
    better = len(order) <= LONG and o.max() <= FAR
    while better:
        better = False
        for j, k in itertools.combinations(range(len(order)), 2):
            tried = [*order[:j], order[k], *order[j:k], *order[k + 1 :]]
            cost, in_time, passed = judge(tried)
            if cost < best - 1e-9:
                best, kept, lost, order, better = cost, in_time, passed, tried, True
    rank = np.empty(len(order))
    rank[kept + lost] = np.arange(len(order))
    return rank
