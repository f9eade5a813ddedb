"""The compiled part of the simulator: iterations with unit step cost, until a choice is due.

An admitted request is never preempted and a decode never stalls, so its whole future is known the moment it is
admitted. Its tokens and its KV are therefore entered at once for all iterations to come, into circular arrays whose
slot t mod W stands for iteration t. At most one admitted prompt is unfinished at any time: whoever comes next is
admitted only if tokens are left, and then all prompts before it are finished in the same iteration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.jit import compiled

Array = NDArray[Any]

TOKENS, KV, FINISHED = 0, 1, 2
"""Rows of the plan: tokens processed in an iteration, KV held in it, requests that are finished as it begins."""

NOW, WAIT, RUN, ARRIVED, STALE, CHUNKS = 0, 1, 2, 3, 4, 5
"""Places in the state: the iteration; how many wait, run and have arrived; whether something happened since the
scores were given; how many chunks were logged."""

DONE, CHOICE, LOG_FULL = 0, 1, 2
"""Why `advance` returns."""


@compiled
def finishing(plan: Array, now: int, prompt: int, output: int, capacity: int, budget: int) -> int:
    """The iteration that would finish the prompt of a request admitted now; −1 if its future does not fit in the KV."""
    window = plan.shape[1]
    at, done = now, 0
    while True:
        slot = at % window
        done += min(budget - plan[TOKENS, slot], prompt - done)
        if plan[KV, slot] + done > capacity:
            return -1
        if done == prompt:
            break
        at += 1
    for decoded in range(1, output):
        if plan[KV, (at + decoded) % window] + prompt + decoded > capacity:
            return -1
    return at


@compiled
def spare(plan: Array, now: int, prompt: int, output: int, capacity: int, budget: int) -> int:
    """The KV left in the tightest iteration of a request admitted now, its own counted; negative: it does not fit."""
    window = plan.shape[1]
    at, done = now, 0
    left: int = capacity
    while True:
        slot = at % window
        done += min(budget - plan[TOKENS, slot], prompt - done)
        left = min(left, capacity - plan[KV, slot] - done)
        if done == prompt:
            break
        at += 1
    for decoded in range(1, output):
        left = min(left, capacity - plan[KV, (at + decoded) % window] - prompt - decoded)
    return left


@compiled
def spares(plan: Array, now: int, waiting: Array, prompt: Array, output: Array, capacity: int, budget: int) -> Array:
    """`spare` of each of `waiting`; shape (m,), int64."""
    left = np.empty(waiting.size, dtype=np.int64)
    for place in range(waiting.size):
        left[place] = spare(plan, now, prompt[waiting[place]], output[waiting[place]], capacity, budget)
    return left


@compiled
def commit(plan: Array, state: Array, log: Array, request: int, prompt: int, output: int, budget: int) -> None:
    """Enter the future of a request admitted now, which fits, into the plan; log its chunks."""
    window = plan.shape[1]
    at, done = state[NOW], 0
    while True:
        slot = at % window
        chunk = min(budget - plan[TOKENS, slot], prompt - done)
        done += chunk
        plan[TOKENS, slot] += chunk
        plan[KV, slot] += done
        if chunk > 0:
            log[state[CHUNKS]] = (request, at, chunk)
            state[CHUNKS] += 1
        if done == prompt:
            break
        at += 1
    for decoded in range(1, output):
        slot = (at + decoded) % window
        plan[TOKENS, slot] += 1
        plan[KV, slot] += prompt + decoded
    plan[FINISHED, (at + output) % window] += 1


@compiled
def move_on(plan: Array, state: Array, steps: int) -> None:
    """Let `steps` iterations pass, which frees their slots, and note which requests finished on the way."""
    window = plan.shape[1]
    if steps >= window:  # everything admitted is finished by then
        plan[:] = 0
        state[RUN], state[STALE] = 0, 1
        state[NOW] += steps
        return
    for _ in range(steps):
        plan[:, state[NOW] % window] = 0
        state[NOW] += 1
        finished = plan[FINISHED, state[NOW] % window]
        if finished > 0:
            state[RUN] -= finished
            state[STALE] = 1


@compiled
def receive(state: Array, waiting: Array, arrival: Array, by_arrival: Array) -> None:
    """Let what has arrived by now wait; the first `state[WAIT]` places of `waiting` stay in ascending order."""
    while state[ARRIVED] < len(by_arrival) and arrival[by_arrival[state[ARRIVED]]] <= state[NOW]:
        request = by_arrival[state[ARRIVED]]
        place = state[WAIT]
        while place > 0 and waiting[place - 1] > request:
            waiting[place] = waiting[place - 1]
            place -= 1
        waiting[place] = request
        state[ARRIVED] += 1
        state[WAIT] += 1
        state[STALE] = 1


@compiled
def admit_in_order(
    plan: Array,
    state: Array,
    waiting: Array,
    scores: Array,
    log: Array,
    prompt: Array,
    output: Array,
    capacity: int,
    budget: int,
) -> None:
    """Admit by ascending score while tokens are left, up to the first request whose future does not fit.

    One answer rarely admits more than a few requests, so the lowest score is looked for each time: no sorting.
    """
    slot = state[NOW] % plan.shape[1]
    while state[WAIT] > 0 and plan[TOKENS, slot] < budget:
        first = 0
        for place in range(1, state[WAIT]):
            if scores[place] < scores[first]:
                first = place
        request = waiting[first]
        if finishing(plan, state[NOW], prompt[request], output[request], capacity, budget) < 0:
            return
        commit(plan, state, log, request, prompt[request], output[request], budget)
        state[WAIT] -= 1
        state[RUN] += 1
        state[STALE] = 1  # from the next iteration on: this one's order is `scores`
        for place in range(first, state[WAIT]):
            waiting[place] = waiting[place + 1]
            scores[place] = scores[place + 1]


@compiled
def advance(
    plan: Array,
    state: Array,
    waiting: Array,
    scores: Array,
    log: Array,
    prompt: Array,
    output: Array,
    arrival: Array,
    by_arrival: Array,
    capacity: int,
    budget: int,
) -> int:
    """Run iterations until every request is admitted (DONE), or scores are due (CHOICE), or the log is full.

    Scores are due in an iteration with room for a token, if more than one request waits and a request has arrived,
    finished or been admitted since the last ones; otherwise the last ones hold.
    """
    window = plan.shape[1]
    while True:
        receive(state, waiting, arrival, by_arrival)
        if state[WAIT] == 0:
            if state[ARRIVED] == len(by_arrival):
                return DONE
            move_on(plan, state, arrival[by_arrival[state[ARRIVED]]] - state[NOW])
            continue
        slot = state[NOW] % window
        if plan[TOKENS, slot] < budget and plan[KV, slot] < capacity:
            if len(log) - state[CHUNKS] < state[WAIT] + window:  # one chunk each, but for the last admitted
                return LOG_FULL
            if state[STALE] and state[WAIT] > 1:
                return CHOICE
            admit_in_order(plan, state, waiting, scores, log, prompt, output, capacity, budget)
        move_on(plan, state, 1)


@compiled
def follow(
    plan: Array,
    state: Array,
    waiting: Array,
    scores: Array,
    log: Array,
    prompt: Array,
    output: Array,
    arrival: Array,
    by_arrival: Array,
    capacity: int,
    budget: int,
    fixed: Array,
) -> int:
    """`advance` to the end with scores that never change, `fixed[i]` for request i (DONE, or the log is full)."""
    while True:
        reason = advance(plan, state, waiting, scores, log, prompt, output, arrival, by_arrival, capacity, budget)
        if reason != CHOICE:
            return reason
        for place in range(state[WAIT]):
            scores[place] = fixed[waiting[place]]
        state[STALE] = 0
