"""What is known of the requests that vLLM holds, as arrays: one column a request, one row a field that is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine_bridge.policy import Array
from engine_bridge.vllm.settings import Settings

HASH_BITS = 48
"""Of a block's hash: a float holds them exactly."""

Fact = Callable[[Any, Mapping[str, Any], Settings], float]


def _given(extra: Mapping[str, Any], name: str, default: float, least: float = -math.inf) -> float:
    """What a request's sender said of it, if that is a number above `least`."""
    try:
        value = float(extra[name])
    except (KeyError, TypeError, ValueError):
        return default
    return value if value > least else default


def _group(request: Any, extra: Mapping[str, Any]) -> float:
    """The group its sender named, or a number that requests with the same first full block of prompt share; else −1."""
    hashes = getattr(request, "block_hashes", None)
    if "group" in extra or not hashes:
        return _given(extra, "group", -1.0, -2.0)
    first = hashes[0]
    return float(int.from_bytes(first[: HASH_BITS // 8], "big") if isinstance(first, bytes) else hash(first) & 0xFFFFFF)


FACTS: Mapping[str, Fact] = {
    "arrival": lambda request, extra, settings: request.arrival_time,
    "prompt": lambda request, extra, settings: request.num_prompt_tokens,
    "predicted": lambda request, extra, settings: _given(extra, "predicted", max(request.max_tokens, 1), 0.0),
    "ttft_due": lambda request, extra, settings: request.arrival_time + _given(extra, "ttft", settings.ttft, 0.0),
    "tpot": lambda request, extra, settings: _given(extra, "tpot", settings.tpot, 0.0),
    "priority": lambda request, extra, settings: _given(extra, "priority", request.priority),
    "group": lambda request, extra, settings: _group(request, extra),
    "last": lambda request, extra, settings: request.arrival_time,
}
"""Fields that are known when a request comes; its sender's word is in the sampling parameters' `extra_args`."""


class Table:
    """Columns are given out when requests come and taken back when they are gone.

    `fields` are the names of the rows, in the order in which policies read them.
    """

    def __init__(self, fields: Sequence[str], settings: Settings) -> None:
        self.place = {name: row for row, name in enumerate(fields)}
        self._facts = [(row, FACTS[name]) for name, row in self.place.items() if name in FACTS]
        self._settings = settings
        self._values = np.zeros((len(fields), 512))
        self._tokens = np.zeros(512, dtype=np.int64)
        self._column: dict[Any, int] = {}  # by the request itself: to look into hundreds of them is what costs
        self._named: dict[str, Any] = {}
        self._free = list(range(511, -1, -1))
        self._count = 0

    def add(self, request: Any) -> int:
        """Give `request` a column; one that comes again under its name keeps that."""
        before = self._named.get(request.request_id)
        if before is not None:
            column = self._column.pop(before)
        else:
            if not self._free:
                self._grow()
            column = self._free.pop()
        self._named[request.request_id] = request
        self._column[request] = column
        extra = getattr(request.sampling_params, "extra_args", None) or {}
        values = self._values
        values[:, column] = 0.0
        self._tokens[column] = 0
        for row, fact in self._facts:
            values[row, column] = fact(request, extra, self._settings)
        if "id" in self.place:
            values[self.place["id"], column] = self._count
        self._count += 1
        return column

    def forget(self, names: Iterable[str]) -> None:
        """Take the columns of requests that have finished back; one that has come under such a name keeps its own."""
        for name in names:
            request = self._named.get(name)
            if request is not None and request.is_finished():
                del self._named[name]
                self._free.append(self._column.pop(request))

    def columns(self, requests: Sequence[Any]) -> Array:
        """The columns of `requests`, shape (n,); one that is new gets its own."""
        column = self._column
        try:
            return np.array(list(map(column.__getitem__, requests)), dtype=np.intp)
        except KeyError:
            for request in requests:
                if request not in column:
                    self.add(request)
            return self.columns(requests)

    def set(self, field: str, columns: Array, values: Sequence[float]) -> None:
        """Write `values` of a field that is read."""
        self._values[self.place[field], columns] = values

    def change(self, field: str, columns: Array, values: Sequence[float]) -> bool:
        """Write `values` as `set` does; whether any was another before."""
        row = self._values[self.place[field]]
        new = np.array(values, dtype=np.float64)
        if np.array_equal(row[columns], new):
            return False
        row[columns] = new
        return True

    def note_tokens(self, columns: Array, tokens: Array, now: float) -> None:
        """Write `now` as the time of the last token where there are more tokens than before."""
        grown = columns[tokens > self._tokens[columns]]
        self._values[self.place["last"], grown] = now
        self._tokens[columns] = tokens

    def take(self, columns: Array) -> Array:
        """A copy of these columns, shape (fields, n)."""
        return self._values.take(columns, axis=1)

    def _grow(self) -> None:
        """Double the table."""
        fields, size = self._values.shape
        self._values = np.concatenate([self._values, np.zeros((fields, size))], axis=1)
        self._tokens = np.concatenate([self._tokens, np.zeros(size, dtype=np.int64)])
        self._free += range(2 * size - 1, size - 1, -1)
