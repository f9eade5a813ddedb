"""Where things stand in the arrays that the compiled parts of the serving simulator share."""

from __future__ import annotations

FREE = 0
"""Place in `state`: how many blocks are free."""

PROMPT, OUTPUT, OWN_KEYS, SHARED_FROM, SHARED, COMPUTED, GENERATED, SLOT, BLOCKS, HASHED = range(10)
PREEMPTIONS, HITS, HELD, CHUNK, FLIGHT = range(10, 15)
REQUEST_ROWS = 15
"""Rows of `requests`: tokens of prompt and output; key of its block 0, were it its own; place of its first shared
prefix id; blocks that lie in shared ones; tokens computed and generated; row of its block table, −1 for none; blocks
held; blocks whose content is known; how often it was preempted; tokens found in the cache when it was first admitted,
−1 before; 1 if it is left out of this step; prompt tokens in this step at most, −1 for no limit; tokens on their way
through the groups of layers."""

ARRIVAL, FIRST, LAST, FINISH, LONGEST = range(5)
TIME_ROWS = 5
"""Rows of `times` (s): arrival; first token; last token so far, the arrival before; end; longest time between tokens.
What has not happened is NaN."""

RUN, HEAD, WAIT, ARRIVED, DUE, ASKED, BUDGET, LIMIT, GROUPS, BLOCKED, PREEMPTED = range(1, 12)
STEPS, STEPS_ASKED, FALLBACKS, EMPTY, GAPS, STEP_ROWS, EVENT_ROWS, PEAK, COHORT, COHORT_STEPS = range(12, 22)
COUNT, PASSES, SENT = range(22, 25)
STATE_SIZE = 25
"""RUN, WAIT: how many run and wait; HEAD: place of the first in the ring of those that wait; ARRIVED: how many have;
DUE: functions to be asked, as bits; ASKED: whether they were, for this step; BUDGET, LIMIT, GROUPS: their answers;
BLOCKED: admission ended for want of a place or blocks; PREEMPTED: requests preempted in this step; STEPS…FALLBACKS:
counts; EMPTY: steps in a row in which nothing was scheduled; GAPS, STEP_ROWS, EVENT_ROWS: rows logged; PEAK: most
blocks held; COHORT: steps that the layered prefill under way still takes, COHORT_STEPS: of so many; COUNT: requests
scheduled in the step that was decided, PASSES: its groups of layers; SENT: requests whose arrival is known, at fixed
concurrency."""

NOW, STEP, BUSY, HELD_SECONDS, COHORT_TOKENS, COHORT_PAIRS = range(6)
CLOCK_SIZE = 6
"""Places in `clock`: the time; how long the last step took; all steps together; blocks held × time (s); tokens of the
layered prefill under way and its pairs of tokens that attend to each other."""

MAX_RUNNING, MAX_TOKENS, BLOCK_SIZE, CACHE, LONG_PREFILL, RESERVE, WATERMARK, RATIO, HAS, FORWARD, LOG = range(11)
CONCURRENCY = 11
SETTING_COUNT = 12
"""Places in `settings`; RATIO: blocks in a shared prefix id; HAS: the policy's functions as bits; FORWARD: whether
runs of decode steps are done in one go; LOG: whether steps and events are logged;
CONCURRENCY: how many requests are under way at a time, the next one arriving when one finishes; 0: by their times."""

RANK_WAITING, RANK_RUNNING, TOKEN_BUDGET, ADMIT_LIMIT, HOLD, CHUNKS, LAYER_GROUPS = 1, 2, 4, 8, 16, 32, 64
"""The functions as bits, in the order in which they are asked."""

DONE, ASK, LOG_FULL, STUCK = range(4)
"""Why `advance` returns."""

GOES_ON, ADMITTED, PREEMPTION, FINISHED = range(4)
"""Kinds of events: a running request was scheduled, a waiting one, one was preempted, one finished."""
