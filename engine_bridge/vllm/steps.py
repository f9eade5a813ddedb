"""Writes down what each step of vLLM did and how long it took, for `discover calibrate`.

The columns are those of `engine_bridge.step_log`. A step lasts from the results of the one before it, or, after a
pause, from when it was scheduled, to its own results; with steps under way at once (AsyncScheduler) that is the time by
which each makes the next one later, which is what a simulation of one step after the other needs.
"""

from __future__ import annotations

import csv
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COLUMNS = ("prefill_tokens", "prefill_attention", "decodes", "decode_kv", "seconds", "batch")
FLUSH_SECONDS = 1.0
"""Lines reach the file at least so often while steps are done, and when nothing is left to do."""

Work = tuple[int, float, int, int, int]
"""The columns but for the seconds, in their order."""


class StepRecorder:
    """Writes the steps of one scheduler to `path`; what a disk does to it ends the log, and nothing else."""

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self.clock: Callable[[], float] = time.perf_counter
        self._log = log
        self._under_way: deque[tuple[Any, Work, float]] = deque(maxlen=64)
        self._busy_since: float | None = None
        self._flushed = 0.0
        self._file = None
        try:
            self._file = path.open("w", newline="", encoding="utf-8", buffering=1 << 16)
            self._writer = csv.writer(self._file)
            self._writer.writerow(COLUMNS)
        except OSError as error:
            self._stop(error)

    def scheduled(self, output: Any, requests: Mapping[str, Any], since: float) -> None:
        """Note what a step will do; `since`: when vLLM began to schedule it."""
        if self._file is not None and output.num_scheduled_tokens:
            self._under_way.append((output, work(output.num_scheduled_tokens, requests), since))

    def updated(self, output: Any, *, more: bool) -> None:
        """Write the step whose results have come; `more`: whether requests are left."""
        if self._file is None:
            return
        now = self.clock()
        while self._under_way:
            scheduled, done, since = self._under_way.popleft()
            if scheduled is output:
                start = since if self._busy_since is None else self._busy_since
                self._write(done, now - start, now, flush=not more)
                break
        self._busy_since = now if more else None

    def close(self) -> None:
        """Write what is left. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._stop(error)

    def _write(self, done: Work, seconds: float, now: float, *, flush: bool) -> None:
        assert self._file is not None  # checked by the caller
        *rest, batch = done
        try:
            self._writer.writerow((*rest, f"{seconds:.9f}", batch))
            if flush or now - self._flushed > FLUSH_SECONDS:
                self._file.flush()
                self._flushed = now
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        self._file = None
        self._log.warning("scheduling policy: the step log cannot be written (%s); serving goes on without it", error)


def work(tokens: Mapping[str, int], requests: Mapping[str, Any]) -> Work:
    """What a step does that was just scheduled: requests count its tokens as computed already."""
    prefill = decodes = kv = 0
    attention = 0.0
    for name, count in tokens.items():
        request = requests[name]
        before = request.num_computed_tokens - count
        if count == 1 and before >= request.num_prompt_tokens:
            decodes += 1
            kv += before + 1
        else:
            prefill += count
            attention += count * before + count * (count + 1) / 2
    return prefill, attention, decodes, kv, len(tokens)
