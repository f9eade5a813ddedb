# Idea: simulate the queue beside what is known to run, and move requests in it while the sum falls.
import bisect
import itertools

import numpy as np

LONG, FAR = 16, 128  # a longer queue, or longer outputs, are left to the rule: planning them would take too long
LEFT = 800  # requests placed in trials, in a call
memory = {"now": -1, "left": LEFT}


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


def simulate(order, now, free, running, budget, capacity, until=10**18):
    """Admit requests (prompt, output, …) in this order, each as soon as it fits; yields (iteration, request)."""
    running = list(running)
    for request in order:
        while (found := free > 0 and place(now, free, running, *request[:2], budget, capacity)) in (None, False):
            now += 1
            while running and running[0][0] <= now:
                del running[0]
            free = budget - len(running)
            if now >= until:
                return
        at, free = found
        bisect.insort(running, (at + request[1], request[0] - at))
        while running[0][0] <= at:
            del running[0]
        now = at
        yield at, request


def remembered(now, queue, budget, capacity):
    """What runs of the requests that were shown: they have left the queue since the last question, in its order."""
    if now < memory["now"] or "order" not in memory:
        return []
    left, gone = list(queue), []
    for request in memory["order"]:
        if request in left:
            left.remove(request)
        else:
            gone.append(request)
    running = list(memory["shown"])
    everything = sorted(memory["shown"] + memory["guessed"])
    for at, request in simulate(gone, memory["now"], memory["free"], everything, budget, capacity, now):
        bisect.insort(running, (at + request[1], request[0] - at))
    return [each for each in running if each[0] > now]


def peak(running):
    """The most memory that what runs will hold."""
    alive, held, most = len(running), sum(a for _, a in running), 0
    for end, a in running:
        most = max(most, held + alive * (end - 1))
        held, alive = held - a, alive - 1
    return most


def guess(now, count, held, most, running):
    """Requests that run and were never shown: equal ones, and the longest with which memory peaks as it does."""
    low, high = 1, most + 1
    while low < high:
        length = (low + high + 1) // 2
        same = [(now + length, held / count - now)] * count
        low, high = (length, high) if peak(sorted(running + same)) <= most + 1e-6 else (low, length - 1)
    return [(now + low, held / count - now)] * count


def what_runs(queue, state):
    """(end, a) of all that runs; the state tells whether the memory of it is right."""
    now, budget, capacity = int(state.now), int(state.budget), int(state.capacity)
    shown, guessed = remembered(now, queue, budget, capacity), []
    count = int(state.running) - len(shown)
    held = capacity - int(state.free_kv) - sum(a + now for _, a in shown)
    if count < 0 or held < count or (held > 0 and count == 0):
        shown, count, held = [], int(state.running), capacity - int(state.free_kv)
    if count:
        guessed = guess(now, count, held, capacity - int(state.spare_kv), shown)
    memory.update(now=now, shown=shown, guessed=guessed, free=int(state.free_tokens))
    return sorted(shown + guessed)


def improve(order, cost):
    """Move single requests to other places in the order while that costs less."""
    best, better = cost(order, np.inf), True
    while better:
        better = False
        for i, j in itertools.permutations(range(len(order)), 2):
            if memory["left"] <= 0:
                break
            tried = order[:i] + order[i + 1 :]
            tried.insert(j, order[i])
            if (total := cost(tried, best)) < best:
                order, best, better = tried, total, True
    return best, order


def priority(requests, state):
    p, o = requests.prompt, requests.output
    area = o * p + o * (o - 1) / 2
    queue = list(zip(p.astype(int).tolist(), o.astype(int).tolist(), requests.arrival.tolist()))
    scene = int(state.now), int(state.free_tokens), what_runs(queue, state), int(state.budget), int(state.capacity)
    order = np.argsort(area / state.capacity + (p + o - 1) / state.budget, kind="stable").tolist()

    def cost(order, limit):
        total = 0
        for at, (_, output, _) in simulate([queue[i] for i in order], *scene):
            total += at + output
            memory["left"] -= 1
            if total >= limit:
                break
        return total

    if len(order) <= LONG and o.max() <= FAR:
        _, order = improve(order, cost)
    memory["left"] = LEFT
    memory["order"] = [queue[i] for i in order]
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    return rank
