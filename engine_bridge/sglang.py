"""SGLang carries a policy's `rank_waiting` out: a hook around `SchedulePolicy.calc_priority`, which orders its queue.

SGLang's own ordering runs first (with `--schedule-policy lpm`, its default, it also finds out what of each prompt is
cached), then the policy's answer puts the waiting requests in order. Written against the interface as it is in
SGLang's sources; tried with a stand-in of that interface, not on a GPU.

What SGLang does not tell here: `last_step` is the time since the queue was last put in order, `max_tokens` and
`max_running` are fixed numbers, and a request's KV blocks are tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any

import numpy as np

from engine_bridge.policy import SCALAR_NAMES, Array, View
from engine_bridge.vllm.guard import Guard
from engine_bridge.vllm.metrics import Metrics
from engine_bridge.vllm.settings import Settings

TARGET = "sglang.srt.managers.schedule_policy.SchedulePolicy.calc_priority"
"""What is wrapped."""
GROUP = "sglang.srt.plugins"
"""The group of entry points that SGLang loads plug-ins from."""
MAX_TOKENS, MAX_RUNNING = 8192, 256
LONGEST_STEP = 1.0
"""Seconds that `last_step` is at most: after a pause it says nothing."""


class Ranking:
    """Puts one scheduler's queue in order; `clock` gives seconds."""

    def __init__(self, guard: Guard, settings: Settings, metrics: Metrics) -> None:
        self.clock: Callable[[], float] = time.time
        self._guard = guard
        self._settings = settings
        self._metrics = metrics
        self._seen: dict[str, tuple[int, float]] = {}
        self._count = 0
        self._last = 0.0

    def order(self, schedule_policy: Any, queue: MutableSequence[Any], running: int) -> None:
        """Put the waiting requests in order, in place; first come, first served where there is no answer.

        Args:
            schedule_policy: SGLang's `SchedulePolicy`, whose cache tells what is free.
            queue: its waiting requests (`Req`).
            running: how many run.
        """
        start, now = time.perf_counter(), self.clock()
        self.note(queue)
        if len(queue) < 2:
            self._last = now
            return
        # By arrival first: ties then stay so, whatever order an earlier step has made; retracted requests come first.
        queue[:] = sorted(queue, key=lambda request: self._seen[request.rid][0])
        shown = queue[: self._settings.window]
        if self._guard.active():
            view = View(self._vectors(shown), self._numbers(schedule_policy, len(queue), running, now))
            scores = self._guard.ask("rank_waiting", view)
            if scores is not None:
                queue[: len(shown)] = [shown[place] for place in np.argsort(scores, kind="stable")]
        self._last = now
        self._metrics.hooked(time.perf_counter() - start)

    def note(self, queue: MutableSequence[Any]) -> None:
        """Number new requests in the order in which they stand; those that have started are kept for a while."""
        now = self.clock()
        for request in queue:
            if request.rid not in self._seen:
                self._seen[request.rid] = self._count, now
                self._count += 1
        if len(self._seen) > 4 * len(queue) + 10_000:
            waiting = {request.rid for request in queue}
            self._seen = {name: known for name, known in self._seen.items() if name in waiting}

    def _vectors(self, shown: MutableSequence[Any]) -> Array:
        """The fields that the policy reads, as rows."""
        rows = [self._facts(request) for request in shown]
        return np.array([[row[name] for row in rows] for name in self._guard.policy.fields], dtype=np.float64)

    def _facts(self, request: Any) -> dict[str, float]:
        """All fields of one request."""
        number, arrival = self._seen[request.rid]
        given = hints(request)
        parameters = request.sampling_params
        return {
            "id": number,
            "arrival": arrival,
            "prompt": len(request.origin_input_ids),
            "computed": 0,
            "cached": len(request.prefix_indices) if request.prefix_indices is not None else 0,
            "output": len(request.output_ids),
            "predicted": given.get("predicted", float(parameters.max_new_tokens or 1)),
            "ttft_due": arrival + given.get("ttft", self._settings.ttft),
            "tpot": given.get("tpot", self._settings.tpot),
            "priority": given.get("priority", float(getattr(request, "priority", None) or 0)),
            "group": given.get("group", -1.0),
            "blocks": 0,
            "last": arrival,
            "is_running": 0,
        }

    def _numbers(self, schedule_policy: Any, waiting: int, running: int, now: float) -> Array:
        """The numbers of the view."""
        free, total = memory(schedule_policy.tree_cache)
        found = {
            "now": now,
            "free_blocks": free,
            "total_blocks": total,
            "block_size": 1,
            "last_step": min(now - self._last, LONGEST_STEP) if self._last else 0.0,
            "max_tokens": MAX_TOKENS,
            "max_running": MAX_RUNNING,
            "waiting": waiting,
            "running": running,
        }
        return np.array([found[name] for name in SCALAR_NAMES], dtype=np.float64)


def hints(request: Any) -> dict[str, float]:
    """What came with a request for its scheduling (`custom_params` of its sampling parameters), as far as it is good.

    ttft, tpot and predicted must be above 0, all must be finite numbers.
    """
    given = getattr(request.sampling_params, "custom_params", None)
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, float] = {}
    for name in ("predicted", "ttft", "tpot", "priority", "group"):
        value = given.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            continue
        if value > 0 or name in ("priority", "group"):
            found[name] = float(value)
    return found


def memory(tree_cache: Any) -> tuple[float, float]:
    """Tokens of KV that are free or can be evicted, and all there are; 0 where the cache does not say."""
    allocator = getattr(tree_cache, "token_to_kv_pool_allocator", None)
    if allocator is None:
        return 0.0, 0.0
    evictable = getattr(tree_cache, "evictable_size", None)
    free = float(allocator.available_size()) + (float(evictable()) if evictable is not None else 0.0)
    return free, float(getattr(allocator, "size", free))


def around(rankings: Callable[[], Ranking | None]) -> Callable[..., Any]:
    """The hook: SGLang's own ordering, then the policy's; `rankings` gives the ranking, None: leave it."""

    def calc_priority(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        ranking = rankings()
        if ranking is None:
            return original(*args, **kwargs)
        schedule_policy, queue = args[0], args[1] if len(args) > 1 else kwargs["waiting_queue"]
        batch = args[2] if len(args) > 2 else kwargs.get("running_batch")
        ranking.note(queue)  # while new ones still stand in the order in which they came
        result = original(*args, **kwargs)
        ranking.order(schedule_policy, queue, len(batch.reqs) if batch is not None else 0)
        return result

    return calc_priority
