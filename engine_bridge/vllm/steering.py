"""One step of vLLM's scheduler, steered: ask, carry the answers out, let vLLM schedule, put its limits back.

What `schedule()` does is vLLM's own: it goes through `running` in order, then through `waiting`, under a budget of
tokens and a limit on how many run. A policy sets the two orders and the two numbers beforehand.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from engine_bridge.policy import Array, View
from engine_bridge.vllm.guard import Guard
from engine_bridge.vllm.metrics import Metrics
from engine_bridge.vllm.prefix import PrefixHits
from engine_bridge.vllm.settings import Settings
from engine_bridge.vllm.support import limit_name
from engine_bridge.vllm.table import Table

NOTHING = np.zeros(0, dtype=np.intp)
NEWCOMERS = 8
"""An answer that was asked for ahead counts while no more than one in so many of those shown has come since."""
CONSTANT = frozenset({"total_blocks", "block_size", "max_tokens", "max_running"})
"""Numbers of a view that stay as long as the engine runs."""


class Steering:
    """Asks a policy on behalf of one scheduler.

    `clock` gives the time that vLLM's arrival times are of; tests set another.
    """

    def __init__(self, scheduler: Any, guard: Guard, settings: Settings, metrics: Metrics) -> None:
        self.clock: Callable[[], float] = time.time
        self._scheduler = scheduler
        self._guard = guard
        self._metrics = metrics
        self._window = settings.window
        self._functions = guard.policy.functions
        self._table = Table(guard.policy.fields, settings)
        self._read = frozenset(guard.policy.fields)
        self._limit = limit_name(scheduler)
        self._max_tokens: int = scheduler.max_num_scheduled_tokens
        self._max_running: int = getattr(scheduler, self._limit)
        config = scheduler.cache_config
        self._total_blocks = float((config.num_gpu_blocks or 1) - 1)  # the first is never given out
        self._block_size = float(getattr(scheduler, "block_size", config.block_size))
        self._prefix_hits = PrefixHits(scheduler) if config.enable_prefix_caching and "cached" in self._read else None
        self._queued = 0
        self._shown: list[Any] = []
        self._shown_columns = NOTHING
        self._known: set[Any] = set()
        self._stale = False
        self._fresh = False
        self._hits_known = False
        self._ran: list[Any] = []
        self._ran_columns = NOTHING
        self._now = 0.0
        self._last_step = 0.0
        self._updated = 0.0
        self._under_way: deque[tuple[Any, float]] = deque(maxlen=64)
        self._limited = False
        self._rest = False
        self._steady = CONSTANT.issuperset(guard.policy.scalars) and "last" not in self._read
        self._settled = False
        self._asks_ahead = bool(settings.ahead) and "rank_waiting" in guard.policy.functions
        self._posted: tuple[list[Any], View | None] | None = None
        self._spent = 0.0

    def arrived(self, request: Any) -> None:
        """Note a request that has just come."""
        self._table.add(request)

    def before(self) -> None:
        """Ask the policy and carry its answers out, before vLLM schedules a step."""
        scheduler = self._scheduler
        self._limited = self._fresh = False
        self._queued = len(scheduler.waiting)
        self._now = self.clock()
        if self._rest or not (scheduler.running or scheduler.waiting) or not self._guard.active():
            return
        start, asked = time.perf_counter(), self._guard.asked
        room = len(scheduler.running) < self._max_running
        functions = self._functions
        ahead = self._collect()
        if "rank_waiting" in functions and (room or ahead is not None) and len(scheduler.waiting) > 1:
            self._rank_waiting(ahead, room)
        if "rank_running" in functions and len(scheduler.running) > 1:
            self._rank_running()
        if "token_budget" in functions:
            self._set_budget()
        if "admit_limit" in functions and room and scheduler.waiting:
            self._set_limit()
        if self._guard.asked != asked or self._prefix_hits is not None:
            self._metrics.hooked(self._spent + time.perf_counter() - start)
        self._spent = 0.0

    def after(self, output: Any) -> None:
        """Put vLLM's own limits back; `output` is what it scheduled, None if it failed."""
        scheduler = self._scheduler
        if self._limited:
            scheduler.max_num_scheduled_tokens = self._max_tokens
            setattr(scheduler, self._limit, self._max_running)
        if output is None:
            return
        self._table.forget(output.finished_req_ids)
        if self._known:
            self._known.difference_update(scheduler.running)
        self._hits_known = False  # till the next step is scheduled, no block goes
        turned = len(scheduler.waiting) != self._queued  # somebody was admitted or preempted
        self._stale |= turned
        # Liveness: limits under which nothing is scheduled are lifted for the next step, which follows at once.
        self._rest = self._limited and not output.num_scheduled_tokens
        self._under_way.append((output, self._now))
        room = len(scheduler.running) < self._max_running
        # Without room, too, if there may be some by the next step: where requests come and go, they do so in a row.
        if self._asks_ahead and len(scheduler.waiting) > 1 and (room or turned or self._steady):
            self._ask_ahead()

    def updated(self, output: Any) -> None:
        """Note that the model's results for `output` have come in."""
        now = self.clock()
        while self._under_way:
            scheduled, since = self._under_way.popleft()
            if scheduled is output:
                self._last_step = max(now - max(since, self._updated), 0.0)
                break
        self._updated = now
        overlapping = bool(self._under_way) and bool(self._known)
        if not (overlapping or "last" in self._read):
            return
        known = self._scheduler.requests
        found = (known.get(name) for name in output.num_scheduled_tokens)
        served = [request for request in found if request is not None and not request.is_finished()]
        if overlapping and not self._known.isdisjoint(served):
            # Steps overlap: these were preempted meanwhile, and have got a token while they wait.
            self._known.difference_update(served)
            self._stale = True
        if "last" in self._read:
            self._note_tokens(served, now)

    def _note_tokens(self, served: list[Any], now: float) -> None:
        """Note the time for requests that have got a token."""
        columns = self._table.columns(served)
        self._table.note_tokens(columns, np.array([request.num_output_tokens for request in served]), now)

    def _ask_ahead(self) -> None:
        """Ask for the order of those that wait now, for the next step; the answer is made while the model computes."""
        if self._posted is not None or self._rest or not self._guard.active():
            return
        start = time.perf_counter()
        self._fresh = False
        shown, columns = self._look_waiting()
        self._look_up_hits()
        view = None if self._settled else self._view(NOTHING, columns)
        if view is None or self._guard.post("rank_waiting", view):
            self._posted = shown, view
        self._spent += time.perf_counter() - start

    def _collect(self) -> tuple[list[Any], Array | None] | None:
        """Whom the last step asked about, and the answer; None if it did not ask."""
        if self._posted is None:
            return None
        shown, view = self._posted
        self._posted = None
        if view is None:  # the answer would have been the one that has put them where they are
            return shown, _placed(len(shown))[0]
        return shown, self._guard.collect("rank_waiting", view)

    def _rank_waiting(self, ahead: tuple[list[Any], Array | None] | None, room: bool) -> None:
        """Put the first of those that wait in the order of their scores, those asked for ahead if these still serve."""
        stale = self._stale  # the answer asked for ahead may be to what was not true any more
        shown, columns = self._look_waiting()
        if ahead is None:
            self._look_up_hits()
        if self._settled:
            return
        gone = None if ahead is None else _gone(ahead[0], shown)
        if ahead is not None and gone is not None:
            scores = ahead[1] if ahead[1] is None else ahead[1][gone:]
        elif room:
            scores = self._guard.ask("rank_waiting", self._view(NOTHING, columns))
        else:
            return
        if scores is None:
            return
        order = scores.argsort(kind="stable")
        come = len(shown) - len(order)
        if come:  # who has come since stands behind
            order = np.concatenate((order, np.arange(len(order), len(shown))))
        if _in_place(order):
            self._settled = self._steady and not (gone or come or stale)
        else:
            self._reorder([shown[place] for place in order.tolist()], columns[order])

    def _reorder(self, shown: list[Any], columns: Array) -> None:
        """Have those shown wait in this order."""
        waiting = self._scheduler.waiting
        self._shown, self._shown_columns = shown, columns
        if len(waiting) == len(shown):
            waiting.clear()
        else:
            for _ in shown:
                waiting.popleft()
        waiting.extendleft(reversed(shown))

    def _rank_running(self) -> None:
        """Put those that run in the order of their scores."""
        running = self._scheduler.running
        columns = self._look_running()
        scores = self._guard.ask("rank_running", self._view(columns, NOTHING))
        if scores is None:
            return
        order = scores.argsort(kind="stable")
        if _in_place(order):
            return
        running[:] = [running[place] for place in order.tolist()]
        self._ran, self._ran_columns = running.copy(), columns[order]

    def _set_budget(self) -> None:
        """Set the tokens of this step."""
        budget = self._guard.ask("token_budget", self._view_all())
        if budget is not None:
            self._limited = True
            self._scheduler.max_num_scheduled_tokens = int(budget)

    def _set_limit(self) -> None:
        """Set how many may run."""
        limit = self._guard.ask("admit_limit", self._view_all())
        if limit is None:
            return
        self._limited = True
        if limit == 0 and not self._scheduler.running:  # nothing would be scheduled: the step goes without limits
            self._scheduler.max_num_scheduled_tokens = self._max_tokens
        else:
            setattr(self._scheduler, self._limit, int(limit))

    def _view_all(self) -> View:
        """A view of those that run, followed by those shown of those that wait."""
        columns = self._look_running()
        return self._view(columns, self._look_waiting()[1])

    def _view(self, running: Array, waiting: Array) -> View:
        """A view of the requests in these columns."""
        scheduler, place, split = self._scheduler, self._table.place, len(running)
        if len(waiting):
            self._look_up_hits()
        vectors = self._table.take(_joined(running, waiting))
        for field in ("computed", "blocks"):
            if field in place:
                vectors[place[field], split:] = 0.0
        if "cached" in place:
            vectors[place["cached"], :split] = 0.0
        if "is_running" in place:
            vectors[place["is_running"], :split] = 1.0
            vectors[place["is_running"], split:] = 0.0
        numbers = (
            self._now,
            scheduler.kv_cache_manager.block_pool.get_num_free_blocks(),
            self._total_blocks,
            self._block_size,
            self._last_step,
            self._max_tokens,
            self._max_running,
            len(scheduler.waiting),
            len(scheduler.running),
        )
        return View(vectors, np.array(numbers, dtype=np.float64))

    def _look_waiting(self) -> tuple[list[Any], Array]:
        """Those shown of those that wait, and their columns, brought up to date once a step."""
        if self._fresh:
            return self._shown, self._shown_columns
        scheduler = self._scheduler
        shown = list(islice(scheduler.waiting, self._window))
        if self._stale or shown != self._shown:
            start, stay = _stay(self._shown, shown)
            come, kept = shown[stay:], self._shown_columns[start : start + stay]
            if "output" in self._read:  # of those that were preempted; it stays while they wait
                self._note_output(shown)
            self._shown_columns = np.concatenate((kept, self._table.columns(come)))
            self._shown, self._stale, self._hits_known, self._settled = shown, False, False, False
        self._fresh = True
        return self._shown, self._shown_columns

    def _note_output(self, shown: list[Any]) -> None:
        """Write down what those shown that were not shown before had generated when they came to wait."""
        come = [request for request in shown if request not in self._known]
        self._known = set(shown)
        self._table.set("output", self._table.columns(come), [request.num_output_tokens for request in come])

    def _look_running(self) -> Array:
        """The columns of those that run, brought up to date."""
        scheduler, read = self._scheduler, self._read
        running = scheduler.running
        if running != self._ran:
            self._ran, self._ran_columns = running.copy(), self._table.columns(running)
        columns = self._ran_columns
        if "computed" in read:
            self._table.set("computed", columns, [request.num_computed_tokens for request in running])
        if "output" in read:
            self._table.set("output", columns, [request.num_output_tokens for request in running])
        if "blocks" in read:
            held = scheduler.kv_cache_manager.get_block_ids
            self._table.set("blocks", columns, [len(held(request.request_id)[0]) for request in running])
        return columns

    def _look_up_hits(self) -> None:
        """Bring up to date what the prefix cache holds of those shown of those that wait, once a step if it is read."""
        if self._prefix_hits is None or self._hits_known:
            return
        self._hits_known = True
        hits = self._prefix_hits(self._shown)
        if self._table.change("cached", self._shown_columns, hits):
            self._settled = False


def _joined(running: Array, waiting: Array) -> Array:
    """Both, one after the other."""
    if len(running) and len(waiting):
        return np.concatenate((running, waiting))
    return running if len(running) else waiting


def _stay(before: list[Any], now: list[Any]) -> tuple[int, int]:
    """Where in `before` the first of `now` stood, and how many of `now` follow there as they do now: all or none."""
    try:
        start = before.index(now[0])
    except (IndexError, ValueError):
        return 0, 0
    count = min(len(before) - start, len(now))
    return (start, count) if before[start : start + count] == now[:count] else (0, 0)


def _gone(asked: list[Any], shown: list[Any]) -> int | None:
    """How many of the first of those asked about have left; None if too much else has changed since."""
    start, stay = _stay(asked, shown)
    come = len(shown) - stay
    return start if stay and start + stay == len(asked) and come * NEWCOMERS <= len(shown) else None


def _in_place(order: Array) -> bool:
    """Whether an order leaves all where they are; as bytes, which is the quickest way to see it."""
    return order.tobytes() == _placed(len(order))[1]


@lru_cache(maxsize=256)
def _placed(n: int) -> tuple[Array, bytes]:
    """The order that leaves n where they are, and its bytes."""
    order = np.arange(n, dtype=np.intp)
    return order, order.tobytes()
