"""The compiled part of the serving simulator that lets time pass: step after step, until a policy has to be asked.

A step is decided by `scheduling.schedule` and takes the time that `step_time.step_seconds` gives it. Runs of decode
steps in which nothing else can happen are done in one go, which changes nothing but the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.jit import compiled
from engine_bridge.layout import (
    ADMIT_LIMIT,
    ARRIVAL,
    ARRIVED,
    ASK,
    ASKED,
    BLOCK_SIZE,
    BLOCKED,
    BLOCKS,
    BUDGET,
    BUSY,
    CACHE,
    CHUNKS,
    COHORT,
    COHORT_PAIRS,
    COHORT_STEPS,
    COHORT_TOKENS,
    COMPUTED,
    CONCURRENCY,
    COUNT,
    DONE,
    DUE,
    EMPTY,
    EVENT_ROWS,
    FINISH,
    FINISHED,
    FIRST,
    FLIGHT,
    FORWARD,
    FREE,
    GAPS,
    GENERATED,
    GROUPS,
    HAS,
    HASHED,
    HEAD,
    HELD_SECONDS,
    HOLD,
    LAST,
    LAYER_GROUPS,
    LIMIT,
    LOG,
    LOG_FULL,
    LONGEST,
    MAX_RUNNING,
    MAX_TOKENS,
    NOW,
    OUTPUT,
    PASSES,
    PEAK,
    PREEMPTED,
    PROMPT,
    RANK_RUNNING,
    RANK_WAITING,
    RUN,
    SENT,
    SLOT,
    STEP,
    STEP_ROWS,
    STEPS,
    STEPS_ASKED,
    STUCK,
    TOKEN_BUDGET,
    WAIT,
)
from engine_bridge.pool import remember, take
from engine_bridge.scheduling import cached_blocks, is_decode, key_of, log_event, release, schedule
from engine_bridge.step_time import attention_pairs, step_seconds

Array = NDArray[Any]


@compiled
def emit(requests: Array, times: Array, gaps: Array, state: Array, clock: Array, request: int, end: float) -> int:
    """Give a request its next token at time `end`; 1 if it had one in the step before, so that `STEP` is the gap."""
    regular = 0
    if requests[GENERATED, request] == 0:
        times[FIRST, request] = end
    else:
        gap = end - times[LAST, request]
        times[LONGEST, request] = max(times[LONGEST, request], gap)
        if times[LAST, request] == clock[NOW]:
            regular = 1
        else:
            gaps[0, state[GAPS]] = gap
            gaps[1, state[GAPS]] = 1.0
            state[GAPS] += 1
    requests[GENERATED, request] += 1
    times[LAST, request] = end
    return regular


@compiled
def weigh(requests: Array, scheduled: Array, count: int, work: Array) -> None:
    """The work of a step: prefill tokens, pairs of tokens that attend to each other, decodes, their KV tokens."""
    work[:] = 0.0
    for place in range(count):
        request, tokens = scheduled[0, place], scheduled[1, place]
        if is_decode(requests, request):
            work[2] += 1.0
            work[3] += requests[COMPUTED, request] + 1
        else:
            work[0] += tokens
            work[1] += attention_pairs(float(requests[COMPUTED, request]), float(tokens))


@compiled
def board(requests: Array, scheduled: Array, count: int, state: Array, clock: Array, work: Array) -> int:
    """Let the prefill of this step set off through groups of layers, or go on; the number of groups it passes.

    While a prefill is under way, every step does an equal part of its work, decodes go on, and no other prefill
    starts; its tokens count as computed at the end of the last step.
    """
    if state[COHORT] > 0:
        state[COHORT] -= 1
        work[0], work[1] = clock[COHORT_TOKENS], clock[COHORT_PAIRS]
        return int(state[COHORT_STEPS])
    if state[GROUPS] == 1 or work[0] == 0:
        return 1
    for place in range(count):
        if not is_decode(requests, scheduled[0, place]):
            requests[FLIGHT, scheduled[0, place]] = scheduled[1, place]
            scheduled[1, place] = 0
    clock[COHORT_TOKENS], clock[COHORT_PAIRS] = work[0], work[1]
    state[COHORT_STEPS] = state[GROUPS]
    state[COHORT] = state[GROUPS] - 1
    return int(state[GROUPS])


@compiled
def alight(requests: Array, running: Array, scheduled: Array, count: int, state: Array) -> int:
    """At the end of a layered prefill, enter its tokens among those scheduled; how many requests are there now."""
    for place in range(state[RUN]):
        request = running[place]
        if requests[FLIGHT, request] > 0:
            scheduled[0, count] = request
            scheduled[1, count] = requests[FLIGHT, request]
            requests[FLIGHT, request] = 0
            count += 1
    return count


@compiled
def update(
    requests: Array, times: Array, running: Array, tables: Array, slots: Array, pool: Array, scheduled: Array,
    gaps: Array, events: Array, state: Array, clock: Array, settings: Array, count: int, end: float,
) -> int:  # fmt: skip
    """After a step: tokens count as computed, those that are due come out, finished requests leave; how many did."""
    finished, regular = 0, 0
    before = state[RUN]
    for place in range(count):
        request = scheduled[0, place]
        requests[COMPUTED, request] += scheduled[1, place]
        total = requests[PROMPT, request] + requests[GENERATED, request]
        if requests[COMPUTED, request] < total or scheduled[1, place] == 0:
            continue
        regular += emit(requests, times, gaps, state, clock, request, end)
        if requests[GENERATED, request] == requests[OUTPUT, request]:
            times[FINISH, request] = end
            state[RUN] -= 1
            release(requests, tables, slots, pool, state, request)
            log_event(events, state, settings, request, 0, FINISHED)
            finished += 1
    if regular:
        gaps[0, state[GAPS]] = end - clock[NOW]
        gaps[1, state[GAPS]] = regular
        state[GAPS] += 1
    if finished:
        kept = 0
        for place in range(before):
            if requests[SLOT, running[place]] >= 0:
                running[kept] = running[place]
                kept += 1
    return finished


@compiled
def send_next(times: Array, state: Array, count: int, now: float) -> None:
    """Let the next `count` requests arrive now, at fixed concurrency, in the place of those that finished."""
    while count > 0 and state[SENT] < times.shape[1]:
        times[ARRIVAL, state[SENT]] = now
        times[LAST, state[SENT]] = now
        state[SENT] += 1
        count -= 1


@compiled
def decide(
    requests: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array, pool: Array,
    first: Array, scheduled: Array, events: Array, work: Array, state: Array, clock: Array, settings: Array,
) -> int:  # fmt: skip
    """Decide the next step: `scheduled`, `work` and state[PASSES]; how many requests are scheduled, state[COUNT]."""
    flying = state[COHORT] > 0
    count = schedule(requests, running, waiting, tables, slots, shared, pool, first, scheduled, events, state, settings)
    weigh(requests, scheduled, count, work)
    state[PASSES] = board(requests, scheduled, count, state, clock, work)
    if flying and state[COHORT] == 0:
        count = alight(requests, running, scheduled, count, state)
    state[COUNT] = count
    state[EMPTY] = 0 if count > 0 or flying else state[EMPTY] + 1
    return count


@compiled
def commit(
    requests: Array, times: Array, running: Array, tables: Array, slots: Array, pool: Array, scheduled: Array,
    gaps: Array, steps: Array, events: Array, work: Array, state: Array, clock: Array, settings: Array, seconds: float,
    end: float,
) -> int:  # fmt: skip
    """Let the step decided last, which took `seconds`, end at `end`; how many requests finished in it."""
    held = pool.shape[1] - 1 - state[FREE]
    state[PEAK] = max(state[PEAK], held)
    clock[BUSY] += seconds
    clock[HELD_SECONDS] += held * seconds
    finished = update(
        requests, times, running, tables, slots, pool, scheduled, gaps, events, state, clock, settings, state[COUNT],
        end,
    )  # fmt: skip
    if finished > 0 and settings[CONCURRENCY] > 0:
        send_next(times, state, finished, end)
    if settings[LOG]:
        row = steps[state[STEP_ROWS]]
        # In the order of `scheduler.STEP_COLUMNS`.
        row[0], row[1], row[2], row[3], row[4], row[5] = clock[NOW], seconds, work[0], work[1], work[2], work[3]
        row[6], row[7], row[8], row[9], row[10] = state[COUNT], state[PASSES], state[FREE], state[RUN], state[WAIT]
        state[STEP_ROWS] += 1
    clock[NOW] = end
    clock[STEP] = seconds
    state[STEPS] += 1
    return finished


@compiled
def step(
    requests: Array, times: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array,
    pool: Array, first: Array, scheduled: Array, gaps: Array, steps: Array, events: Array, work: Array, state: Array,
    clock: Array, settings: Array, coefficients: Array,
) -> int:  # fmt: skip
    """One whole step on the cost model's clock; how many requests finished in it."""
    count = decide(
        requests, running, waiting, tables, slots, shared, pool, first, scheduled, events, work, state, clock, settings
    )
    seconds = 0.0
    if state[EMPTY] == 0:
        passes = float(state[PASSES])
        seconds = step_seconds(coefficients, work[0], work[1], work[2], work[3], float(count), passes)
    return commit(
        requests, times, running, tables, slots, pool, scheduled, gaps, steps, events, work, state, clock, settings,
        seconds, clock[NOW] + seconds,
    )  # fmt: skip


@compiled
def can_glide(requests: Array, times: Array, running: Array, state: Array, clock: Array, settings: Array) -> bool:
    """Whether nothing but decodes can happen until a request arrives or finishes, or blocks run out.

    That is so if nothing waits or what waits cannot be admitted before blocks or places are freed, and every running
    request got a token in the last step and now needs just one more.
    """
    if state[RUN] == 0 or state[COHORT] > 0 or state[RUN] > settings[MAX_TOKENS]:
        return False
    if state[WAIT] > 0 and (state[BLOCKED] == 0 or state[PREEMPTED] > 0):
        return False
    for place in range(state[RUN]):
        if times[LAST, running[place]] != clock[NOW] or not is_decode(requests, running[place]):
            return False
    return True


@compiled
def by_phase(requests: Array, running: Array, state: Array, size: int) -> tuple[Array, Array]:
    """Running requests sorted by −(tokens computed) modulo the block size, and where each phase starts in them."""
    n = state[RUN]
    starts = np.zeros(size + 1, dtype=np.int64)
    for place in range(n):
        starts[-requests[COMPUTED, running[place]] % size + 1] += 1
    for phase in range(size):
        starts[phase + 1] += starts[phase]
    members = np.empty(n, dtype=np.int64)
    fill = starts.copy()
    for place in range(n):
        phase = -requests[COMPUTED, running[place]] % size
        members[fill[phase]] = running[place]
        fill[phase] += 1
    return members, starts


@compiled
def land(requests: Array, times: Array, running: Array, state: Array, clock: Array, done: int, longest: float) -> None:
    """After `done` decode steps in one go: what has changed about the running requests."""
    for place in range(state[RUN]):
        request = running[place]
        requests[COMPUTED, request] += done
        requests[GENERATED, request] += done
        times[LAST, request] = clock[NOW]
        times[LONGEST, request] = max(times[LONGEST, request], longest)
    state[STEPS] += done


@compiled
def turn_blocks(
    requests: Array, tables: Array, shared: Array, pool: Array, first: Array, state: Array, settings: Array,
    members: Array, starts: Array, done: int,
) -> bool:  # fmt: skip
    """The blocks of decode step number `done` in one go: taken where needed, known where full; False if too few."""
    size = settings[BLOCK_SIZE]
    needs, fills = done % size, (done + 1) % size
    if starts[needs + 1] - starts[needs] > state[FREE]:
        return False
    for place in range(starts[needs], starts[needs + 1]):
        request = members[place]
        tables[requests[SLOT, request], requests[BLOCKS, request]] = take(pool, first, state)
        requests[BLOCKS, request] += 1
    if settings[CACHE]:
        for place in range(starts[fills], starts[fills + 1]):
            request = members[place]
            block = tables[requests[SLOT, request], requests[HASHED, request]]
            remember(pool, first, block, key_of(requests, shared, settings, request, requests[HASHED, request]))
            requests[HASHED, request] += 1
    return True


@compiled
def glide(
    requests: Array, times: Array, running: Array, tables: Array, shared: Array, pool: Array, first: Array, gaps: Array,
    state: Array, clock: Array, settings: Array, coefficients: Array,
) -> None:  # fmt: skip
    """Do decode steps until the next one may be something else; the same as doing each by `step`.

    In step j of the run a request with c tokens computed needs a block if c + j is a multiple of the block size, and
    fills one if c + j + 1 is: requests are sorted by −c modulo the block size once, in their order.
    """
    n = state[RUN]
    members, starts = by_phase(requests, running, state, settings[BLOCK_SIZE])
    most = gaps.shape[1] - state[GAPS]
    kv = 0.0
    for place in range(n):
        request = running[place]
        kv += requests[COMPUTED, request] + 1
        most = min(most, requests[OUTPUT, request] - requests[GENERATED, request] - 1)
    next_arrival = times[ARRIVAL, state[ARRIVED]] if state[ARRIVED] < times.shape[1] else np.inf
    longest = 0.0
    done = 0
    while done < most and next_arrival > clock[NOW]:
        if not turn_blocks(requests, tables, shared, pool, first, state, settings, members, starts, done):
            break
        seconds = step_seconds(coefficients, 0.0, 0.0, float(n), kv, float(n), 1.0)
        held = pool.shape[1] - 1 - state[FREE]
        state[PEAK] = max(state[PEAK], held)
        clock[BUSY] += seconds
        clock[HELD_SECONDS] += held * seconds
        end = clock[NOW] + seconds
        gaps[0, state[GAPS]] = end - clock[NOW]
        gaps[1, state[GAPS]] = n
        longest = max(longest, end - clock[NOW])
        state[GAPS] += 1
        clock[NOW] = end
        clock[STEP] = seconds
        kv += n
        done += 1
    land(requests, times, running, state, clock, done, longest)


@compiled
def due(state: Array, settings: Array) -> int:
    """The functions of the policy that are to be asked before the next step, as bits."""
    bits = TOKEN_BUDGET | CHUNKS
    if state[RUN] < settings[MAX_RUNNING]:
        if state[WAIT] > 1:
            bits |= RANK_WAITING
        if state[WAIT] > 0:
            bits |= ADMIT_LIMIT
    if state[RUN] > 1:
        bits |= RANK_RUNNING
    if state[RUN] > 0:
        bits |= HOLD
    if state[COHORT] == 0:
        bits |= LAYER_GROUPS
    asked: int = bits & settings[HAS]
    return asked


@compiled
def begin(state: Array, settings: Array) -> int:
    """Forget the answers to the last step's questions; the functions of the policy that are due, as state[DUE]."""
    state[BUDGET] = settings[MAX_TOKENS]
    state[LIMIT] = settings[MAX_RUNNING]
    state[GROUPS] = 1
    state[DUE] = due(state, settings)
    if state[DUE]:
        state[ASKED] = 1
        state[STEPS_ASKED] += 1
    asked: int = state[DUE]
    return asked


@compiled
def receive(times: Array, waiting: Array, state: Array, clock: Array) -> None:
    """Let what has arrived by now wait, at the end."""
    while state[ARRIVED] < times.shape[1] and times[ARRIVAL, state[ARRIVED]] <= clock[NOW]:
        waiting[(state[HEAD] + state[WAIT]) % len(waiting)] = state[ARRIVED]
        state[WAIT] += 1
        state[ARRIVED] += 1


@compiled
def full(gaps: Array, steps: Array, events: Array, state: Array, settings: Array) -> bool:
    """Whether a log might not hold what one more step adds."""
    places = 3 * settings[MAX_RUNNING] + 1
    if gaps.shape[1] - state[GAPS] < places:
        return True
    if settings[LOG] == 0:
        return False
    return bool(len(steps) == state[STEP_ROWS] or len(events) - state[EVENT_ROWS] < places)


@compiled
def advance(
    requests: Array, times: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array,
    pool: Array, first: Array, scheduled: Array, gaps: Array, steps: Array, events: Array, work: Array, state: Array,
    clock: Array, settings: Array, coefficients: Array,
) -> int:  # fmt: skip
    """Run steps until all requests are finished (DONE), the policy is to be asked (ASK), a log is full or (STUCK)."""
    n = requests.shape[1]
    while True:
        if state[ASKED] == 0:
            receive(times, waiting, state, clock)
            if state[RUN] == 0 and state[WAIT] == 0:
                if state[ARRIVED] == n:
                    return DONE
                clock[NOW] = times[ARRIVAL, state[ARRIVED]]
                continue
            if state[EMPTY] > n + 1:
                return STUCK
            if full(gaps, steps, events, state, settings):
                return LOG_FULL
            if begin(state, settings):
                return ASK
        state[ASKED] = 0
        finished = step(
            requests, times, running, waiting, tables, slots, shared, pool, first, scheduled, gaps, steps, events, work,
            state, clock, settings, coefficients,
        )  # fmt: skip
        if (
            finished == 0
            and settings[FORWARD]
            and due(state, settings) == 0
            and can_glide(requests, times, running, state, clock, settings)
        ):
            glide(requests, times, running, tables, shared, pool, first, gaps, state, clock, settings, coefficients)


@compiled
def show(
    requests: Array, times: Array, facts: Array, running: Array, waiting: Array, shared: Array, pool: Array,
    first: Array, state: Array, clock: Array, settings: Array, function: int, window: int,
) -> tuple[Array, Array]:  # fmt: skip
    """The arrays of the view that a function gets, in the order of `policy.VECTORS` and `policy.SCALARS`."""
    runs = 0 if function == RANK_WAITING else state[RUN]
    waits = 0 if function == RANK_RUNNING else min(window, state[WAIT])
    vectors = np.empty((14, runs + waits))
    for place in range(runs + waits):
        if place < runs:
            request = running[place]
            found = 0
        else:
            request = waiting[(state[HEAD] + place - runs) % len(waiting)]
            found = cached_blocks(requests, shared, first, settings, request) * settings[BLOCK_SIZE]
        vectors[0, place] = request
        vectors[1, place] = times[ARRIVAL, request]
        vectors[2, place] = requests[PROMPT, request]
        vectors[3, place] = requests[COMPUTED, request]
        vectors[4, place] = found
        vectors[5, place] = requests[GENERATED, request]
        for row in range(5):
            vectors[6 + row, place] = facts[row, request]
        vectors[7, place] += times[ARRIVAL, request]
        vectors[11, place] = requests[BLOCKS, request]
        vectors[12, place] = times[LAST, request]
        vectors[13, place] = 1.0 if place < runs else 0.0
    numbers = np.array([
        clock[NOW], state[FREE], pool.shape[1] - 1, settings[BLOCK_SIZE], clock[STEP], settings[MAX_TOKENS],
        settings[MAX_RUNNING], state[WAIT], state[RUN],
    ], dtype=np.float64)  # fmt: skip
    return vectors, numbers


@compiled
def put_in_order(ring: Array, start: int, order: Array) -> None:
    """Put the first requests from `start` on into another order: place i gets the one that was at order[i]."""
    size = len(ring)
    moved = np.empty(len(order), dtype=np.int64)
    for place in range(len(order)):
        moved[place] = ring[(start + order[place]) % size]
    for place in range(len(order)):
        ring[(start + place) % size] = moved[place]
