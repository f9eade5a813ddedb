"""The compiled part of the serving simulator that decides what a step does.

What happens, and in which order, is what vLLM's V1 scheduler does (0.32, the synchronous `Scheduler`):

1. Running requests in their order get their remaining tokens, at most what is left of the token budget; a long
   prefill at most the long-prefill threshold, unless the request is alone. If a request's blocks do not fit, the last
   running request is preempted, its blocks freed and itself put at the front of the queue, again and again until they
   fit; if the request itself goes, nobody after it gets anything.
2. Unless something was preempted, waiting requests are admitted from the front while budget and places are left, up
   to the first whose whole sequence does not fit into the free blocks (above the watermark, if others run). Cached
   blocks at its start are taken over; at least the last token is computed again.
3. Blocks that are full count as cached as soon as their tokens are scheduled.
4. After the step every request whose tokens are all computed has one more; finished ones free their blocks, in the
   order in which they were scheduled.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from engine_bridge.jit import compiled
from engine_bridge.layout import (
    ADMITTED,
    BLOCK_SIZE,
    BLOCKED,
    BLOCKS,
    BUDGET,
    CACHE,
    CHUNK,
    CHUNKS,
    COHORT,
    COMPUTED,
    EVENT_ROWS,
    FALLBACKS,
    FLIGHT,
    FREE,
    GENERATED,
    GOES_ON,
    HAS,
    HASHED,
    HEAD,
    HELD,
    HITS,
    HOLD,
    LIMIT,
    LOG,
    LONG_PREFILL,
    MAX_RUNNING,
    MAX_TOKENS,
    OWN_KEYS,
    PREEMPTED,
    PREEMPTION,
    PREEMPTIONS,
    PROMPT,
    RATIO,
    RESERVE,
    RUN,
    SHARED,
    SHARED_FROM,
    SLOT,
    STEPS,
    WAIT,
    WATERMARK,
)
from engine_bridge.pool import USERS, give_back, remember, take, touch

Array = NDArray[Any]


@compiled
def key_of(requests: Array, shared: Array, settings: Array, request: int, place: int) -> int:
    """The key of the content of a request's block."""
    if place < requests[SHARED, request]:
        ratio = settings[RATIO]
        key: int = shared[requests[SHARED_FROM, request] + place // ratio] * ratio + place % ratio
        return key
    own: int = requests[OWN_KEYS, request] + place
    return own


@compiled
def cached_blocks(requests: Array, shared: Array, first: Array, settings: Array, request: int) -> int:
    """How many blocks at the start of a waiting request are in the cache; at least its last token is not."""
    if settings[CACHE] == 0:
        return 0
    most = (requests[PROMPT, request] + requests[GENERATED, request] - 1) // settings[BLOCK_SIZE]
    count = 0
    while count < most and first[key_of(requests, shared, settings, request, count)] >= 0:
        count += 1
    return count


@compiled
def extend(
    requests: Array, tables: Array, shared: Array, pool: Array, first: Array, state: Array, settings: Array,
    request: int, total: int,
) -> None:  # fmt: skip
    """Give a request the blocks for its first `total` tokens and note what those that are full will hold."""
    size = settings[BLOCK_SIZE]
    slot = requests[SLOT, request]
    while requests[BLOCKS, request] * size < total:
        tables[slot, requests[BLOCKS, request]] = take(pool, first, state)
        requests[BLOCKS, request] += 1
    if settings[CACHE]:
        while (requests[HASHED, request] + 1) * size <= total:
            place = requests[HASHED, request]
            remember(pool, first, tables[slot, place], key_of(requests, shared, settings, request, place))
            requests[HASHED, request] += 1


@compiled
def release(requests: Array, tables: Array, slots: Array, pool: Array, state: Array, request: int) -> None:
    """Free a request's blocks and its block table; it no longer runs (RUN is already without it)."""
    slot = requests[SLOT, request]
    give_back(pool, state, tables[slot], requests[BLOCKS, request])
    slots[state[RUN]] = slot
    requests[SLOT, request] = -1
    requests[BLOCKS, request] = 0
    requests[HASHED, request] = 0


@compiled
def log_event(events: Array, state: Array, settings: Array, request: int, tokens: int, kind: int) -> None:
    """Add a row (step, request, tokens, kind) if events are logged."""
    if settings[LOG]:
        row = state[EVENT_ROWS]
        events[row, 0] = state[STEPS]
        events[row, 1] = request
        events[row, 2] = tokens
        events[row, 3] = kind
        state[EVENT_ROWS] += 1


@compiled
def tokens_of(requests: Array, request: int, computed: int, threshold: int) -> int:
    """How many tokens a request can use in this step: all that are left, but for the limits of its own."""
    left: int = requests[PROMPT, request] + requests[GENERATED, request] - computed
    decodes = left == 1 and requests[GENERATED, request] > 0
    if 0 < threshold < left:
        left = threshold
    if not decodes and 0 <= requests[CHUNK, request] < left:
        left = requests[CHUNK, request]
    return left


@compiled
def is_decode(requests: Array, request: int) -> bool:
    """Whether all that a request needs next is the token after its last."""
    left: int = requests[PROMPT, request] + requests[GENERATED, request] - requests[COMPUTED, request]
    return left == 1 and requests[GENERATED, request] > 0


@compiled
def run_running(
    requests: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array, pool: Array,
    first: Array, scheduled: Array, events: Array, state: Array, settings: Array, threshold: int,
) -> int:  # fmt: skip
    """Give tokens to running requests, preempting from the end; how many were scheduled."""
    count = 0
    place = 0
    while place < state[RUN] and state[BUDGET] > 0:
        request = running[place]
        tokens = min(tokens_of(requests, request, requests[COMPUTED, request], threshold), state[BUDGET])
        if requests[HELD, request] or tokens == 0 or (state[COHORT] > 0 and not is_decode(requests, request)):
            place += 1
            continue
        total = requests[COMPUTED, request] + tokens
        needed = -(-total // settings[BLOCK_SIZE]) - requests[BLOCKS, request]
        while needed > state[FREE]:
            state[RUN] -= 1
            victim = running[state[RUN]]
            release(requests, tables, slots, pool, state, victim)
            requests[COMPUTED, victim] = 0
            requests[FLIGHT, victim] = 0
            requests[PREEMPTIONS, victim] += 1
            state[HEAD] = (state[HEAD] - 1) % len(waiting)
            waiting[state[HEAD]] = victim
            state[WAIT] += 1
            state[PREEMPTED] += 1
            log_event(events, state, settings, victim, 0, PREEMPTION)
            if victim == request:
                return count
        extend(requests, tables, shared, pool, first, state, settings, request, total)
        scheduled[0, count] = request
        scheduled[1, count] = tokens
        count += 1
        log_event(events, state, settings, request, tokens, GOES_ON)
        state[BUDGET] -= tokens
        place += 1
    return count


@compiled
def pull(waiting: Array, state: Array, passed: int) -> None:
    """Take the request after the first `passed` out of the ring of those that wait."""
    size = len(waiting)
    for place in range(passed, 0, -1):
        waiting[(state[HEAD] + place) % size] = waiting[(state[HEAD] + place - 1) % size]
    state[HEAD] = (state[HEAD] + 1) % size
    state[WAIT] -= 1


@compiled
def admit_waiting(
    requests: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array, pool: Array,
    first: Array, scheduled: Array, events: Array, state: Array, settings: Array, threshold: int, count: int,
) -> int:  # fmt: skip
    """Admit from the front of the queue up to the first request that does not fit; how many are scheduled now.

    A request that the policy gives no tokens (`chunk`) is passed over and keeps its place. One that waits with tokens
    computed brings their KV along, from another engine's pool.
    """
    size = settings[BLOCK_SIZE]
    passed = 0
    while state[BUDGET] > 0 and state[WAIT] > passed:
        if state[RUN] >= state[LIMIT]:
            state[BLOCKED] = 1
            break
        request = waiting[(state[HEAD] + passed) % len(waiting)]
        if requests[CHUNK, request] == 0:
            passed += 1
            continue
        hits = cached_blocks(requests, shared, first, settings, request)
        computed = max(hits * size, requests[COMPUTED, request])
        tokens = min(tokens_of(requests, request, computed, threshold), state[BUDGET])
        total = computed + tokens
        whole = requests[PROMPT, request] + requests[GENERATED, request] if settings[RESERVE] else total
        slot = slots[state[RUN]]
        needed = -(-whole // size) - hits
        for place in range(hits):
            block = first[key_of(requests, shared, settings, request, place)]
            tables[slot, place] = block
            if pool[USERS, block] == 0:
                needed += 1
        if state[RUN] > 0:
            needed += settings[WATERMARK]
        if needed > state[FREE]:
            state[BLOCKED] = 1
            break
        pull(waiting, state, passed)
        running[state[RUN]] = request
        state[RUN] += 1
        for place in range(hits):
            touch(pool, state, tables[slot, place])
        requests[SLOT, request] = slot
        requests[BLOCKS, request] = hits
        requests[HASHED, request] = hits
        requests[COMPUTED, request] = computed
        if requests[HITS, request] < 0:
            requests[HITS, request] = hits * size
        extend(requests, tables, shared, pool, first, state, settings, request, total)
        scheduled[0, count] = request
        scheduled[1, count] = tokens
        count += 1
        log_event(events, state, settings, request, tokens, ADMITTED)
        state[BUDGET] -= tokens
    return count


@compiled
def forget_limits(requests: Array, running: Array, waiting: Array, state: Array) -> None:
    """Take `hold` and `chunk` back."""
    for place in range(state[RUN]):
        requests[HELD, running[place]] = 0
        requests[CHUNK, running[place]] = -1
    for place in range(state[WAIT]):
        requests[CHUNK, waiting[(state[HEAD] + place) % len(waiting)]] = -1


@compiled
def schedule(
    requests: Array, running: Array, waiting: Array, tables: Array, slots: Array, shared: Array, pool: Array,
    first: Array, scheduled: Array, events: Array, state: Array, settings: Array,
) -> int:  # fmt: skip
    """Decide one step: `scheduled` gets requests and tokens; how many. If the policy schedules nothing, FCFS does."""
    limits = settings[HAS] & (HOLD | CHUNKS)
    threshold = settings[LONG_PREFILL] if state[RUN] + state[WAIT] > 1 else 0
    for attempt in range(2):
        state[BLOCKED] = 0
        state[PREEMPTED] = 0
        count = run_running(
            requests, running, waiting, tables, slots, shared, pool, first, scheduled, events, state, settings,
            threshold,
        )  # fmt: skip
        if state[PREEMPTED] == 0 and state[COHORT] == 0:
            count = admit_waiting(
                requests, running, waiting, tables, slots, shared, pool, first, scheduled, events, state, settings,
                threshold, count,
            )  # fmt: skip
        if count > 0 or attempt == 1 or settings[HAS] == 0 or state[COHORT] > 0:
            break
        state[FALLBACKS] += 1
        forget_limits(requests, running, waiting, state)
        state[BUDGET] = settings[MAX_TOKENS]
        state[LIMIT] = settings[MAX_RUNNING]
    if limits:
        forget_limits(requests, running, waiting, state)
    return count
