# Idea: remember what runs, and plan: list what waits by area, start each as early as memory allows, and keep those moves of single requests in the list that let the small ones start earlier.
from random import Random

import numpy as np

FRONT, MOVES = 45, 20


class Plan:
    """What is known of the server: what runs, and what waits in the planned order. A request is (arrival, prompt, output)."""

    def __init__(self):
        self.now, self.order, self.running, self.random = 0, [], [], Random(1)

    def see(self, now, requests):
        """What waits no more has started when the order was last asked for; what is new goes before the first larger one."""
        count = {}
        for request in requests:
            count[request] = count.get(request, 0) + 1
        order = []
        for request in self.order:
            if count.get(request):
                count[request] -= 1
                order.append(request)
            else:
                self.running.append((self.now, request))
        for request in sorted((each for each in count for _ in range(count[each])), key=area):
            larger = (k for k, other in enumerate(order) if area(other) > area(request))
            order.insert(next(larger, len(order)), request)
        self.order, self.now = order, now
        self.running = [(start, request) for start, request in self.running if start + request[2] > now]

    def held(self, rounds):
        """Tokens that what runs holds in the rounds to come."""
        held = [0] * rounds
        for start, (_, prompt, output) in self.running:
            for j in range(self.now - start + 1, output + 1):
                held[start + j - self.now] += prompt + j
        return held

    def improve(self, capacity):
        """Move single ones of the first requests while that helps; the rounds, from now, in which those start."""
        front, draw = self.order[:FRONT], self.random.random
        mean = sum(map(area, front)) / len(front)
        last = max((start + request[2] - self.now for start, request in self.running), default=0)
        held = self.held(last + sum(output for _, _, output in front) + 1)
        starts, cost = placed(front, held[:], capacity, mean, float("inf"))
        for _ in range(MOVES if len(front) > 1 else 0):
            old = int(len(front) * draw() ** 2)
            new = old + round((draw() - 0.5) * max(len(front) / 3, 4))
            if new == old or not 0 <= new < len(front):
                continue
            trial = front[:old] + front[old + 1 :]
            trial.insert(new, front[old])
            its_starts, its_cost = placed(trial, held[:], capacity, mean, cost)
            if its_cost < cost:
                front, starts, cost = trial, its_starts, its_cost
        self.order[:FRONT] = front
        return starts


def area(request):
    _, prompt, output = request
    return output * (1.154 * prompt + (output + 1) / 2)


def placed(order, held, capacity, mean, limit):
    """Start each in the first round from which it fits beside those before it. Rounds, and cost, which counts large ones less."""
    starts, cost = [], 0.0
    for request in order:
        _, prompt, output = request
        start, j = 0, output
        while j:  # from its last round to its first
            over = held[start + j] + prompt + j - capacity
            if over > 0:
                start, j = start + min(over, j), output  # it holds a token less there for each round that it starts later
            else:
                j -= 1
        starts.append(start)
        cost += start / (1 + 0.2 * area(request) / mean)
        if cost >= limit:
            return starts, limit
        for j in range(1, output + 1):
            held[start + j] += prompt + j
    return starts, cost


plan = Plan()


def admit_priority(requests, state):
    fields = (requests.arrival, requests.prompt, requests.output)
    waiting = list(zip(*(field.astype(int).tolist() for field in fields), strict=True))
    plan.see(int(state.now), waiting)
    starts = plan.improve(int(state.capacity))
    starts += [10**6] * (len(plan.order) - len(starts))
    score = {}
    for place, (request, start) in enumerate(zip(plan.order, starts, strict=True)):
        score.setdefault(request, []).append(start + 1e-4 * place)
    return np.array([score[request].pop(0) for request in waiting])
