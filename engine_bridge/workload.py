"""A workload: requests with arrival times, lengths, service levels and shared prefixes, as parallel arrays.

Prefixes are lists of block ids: the prompt is cut into blocks of `hash_block` tokens, and equal ids mean equal tokens
after equal tokens (as if an id were the hash of the block and all before it). The last block may reach beyond the
prompt. A workload without them shares nothing.

    load_workload("conversation", requests=2000).scaled(8.0).with_slos(ttft=2.0, tpot=0.1)

Where workloads come from: `engine_bridge.sources`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

HASH_BLOCK = 512
"""Tokens per prefix block where nothing else is said; Mooncake's."""
PREDICTION_ERROR = 0.5
"""Sigma of output-length predictions where nothing else is said; two of three are within a factor of 1.65 then."""
SPLITS = {"train": 0.5, "validation": 0.25, "test": 0.25}
"""Shares of the duration, in the order of time."""

_FLOATS = ("arrival", "ttft", "tpot")
_COUNTS = ("prompt", "output", "predicted")
_LABELS = ("priority", "group", "client")
VECTORS = (*_FLOATS, *_COUNTS, *_LABELS)
"""The arrays with one entry per request."""


class WorkloadError(ValueError):
    """A workload has no meaning, or a trace cannot be read; the message says where, the value and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """Requests in the order of arrival; arrays are read-only, shape (n,) unless said otherwise.

    arrival: seconds, ascending, float64. prompt, output: true lengths in tokens, ≥ 1, int64. predicted: the output
    lengths that policies see, ≥ 1, int64. ttft, tpot: service levels in seconds, until the first and for each further
    token, float64; infinite for none. priority: lower goes first, 0 by default. group: requests with the same number
    start alike; −1 for none. client: who sent it; 0 by default. The last three int64.
    block_offsets: shape (n + 1,); block_ids: request i starts with block_ids[block_offsets[i] : block_offsets[i + 1]].
    hash_block: tokens per block. prediction_error: sigma of the predictions' error, 0 for true lengths (an oracle);
    None if they were given and nobody knows. origin: one sentence on where the requests come from.
    """

    name: str
    arrival: Array
    prompt: Array
    output: Array
    predicted: Array
    priority: Array
    group: Array
    client: Array
    ttft: Array
    tpot: Array
    block_offsets: Array
    block_ids: Array
    hash_block: int = HASH_BLOCK
    prediction_error: float | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        """Take the arrays over, read-only, and refuse what has no meaning.

        Raises:
            WorkloadError: arrays differ in length, arrivals descend, a number is out of its range, or a block id
                appears after different blocks.
        """
        for name in (*VECTORS, "block_offsets", "block_ids"):
            given = np.asarray(getattr(self, name))
            if name not in _FLOATS and given.dtype.kind == "f" and (given != np.rint(given)).any():
                value = given[given != np.rint(given)][0]
                raise WorkloadError(f"workload {self.name}: {name} contains {value:g}; give whole numbers")
            values = np.array(given, dtype=np.float64 if name in _FLOATS else np.int64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        _refuse_lengths(self)
        _refuse_values(self)
        _refuse_blocks(self)

    @classmethod
    def of(
        cls,
        name: str,
        arrival: ArrayLike,
        prompt: ArrayLike,
        output: ArrayLike,
        *,
        blocks: Sequence[Sequence[int]] | None = None,
        hash_block: int = HASH_BLOCK,
        origin: str = "",
        prediction_error: float | None = PREDICTION_ERROR,
        seed: int = 0,
        **more: ArrayLike,
    ) -> Workload:
        """A workload of requests in any order; arrays left out get their defaults.

        Args:
            name: what results call it.
            arrival: seconds.
            prompt: tokens.
            output: tokens.
            blocks: the prefix blocks' ids of each request.
            hash_block: tokens per block.
            origin: one sentence.
            prediction_error: of the predictions drawn if `predicted` is not given.
            seed: of these predictions.
            **more: other arrays by name; predicted, priority, group, client, ttft, tpot.

        Raises:
            WorkloadError: as for the arrays themselves.
        """
        times = np.asarray(arrival, dtype=np.float64)
        n = len(times)
        order = np.argsort(times, kind="stable")
        lists = [[]] * n if blocks is None else blocks
        defaults: dict[str, ArrayLike] = {
            "predicted": output,
            "priority": np.zeros(n),
            "group": np.full(n, -1),
            "client": np.zeros(n),
            "ttft": np.full(n, np.inf),
            "tpot": np.full(n, np.inf),
        }
        arrays = {**defaults, **more, "arrival": times, "prompt": prompt, "output": output}
        for key, values in {**arrays, "blocks": lists}.items():
            if len(values) != n:  # type: ignore[arg-type]
                raise WorkloadError(f"workload {name}: {len(values)} {key} for {n} arrivals; give one a request")  # type: ignore[arg-type]
        sorted_lists = [lists[place] for place in order]
        in_order: dict[str, Any] = {key: np.asarray(values)[order] for key, values in arrays.items()}
        workload = cls(
            name=name,
            **in_order,
            block_offsets=np.cumsum([0, *map(len, sorted_lists)]),
            block_ids=np.array([block for each in sorted_lists for block in each], dtype=np.int64),
            hash_block=hash_block,
            origin=origin,
        )
        return workload if "predicted" in more else workload.with_predictions(prediction_error or 0.0, seed)

    def __len__(self) -> int:
        """How many requests."""
        return len(self.arrival)

    @property
    def duration(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.arrival[-1] - self.arrival[0]) if len(self) else 0.0

    @property
    def rate(self) -> float:
        """Arrivals per second, from the first on; infinite where all come at once."""
        return (len(self) - 1) / self.duration if self.duration > 0 else math.inf

    @property
    def oracle(self) -> bool:
        """Whether policies see the true output lengths."""
        return bool(np.array_equal(self.predicted, self.output))

    @property
    def predictions(self) -> str:
        """How the predicted output lengths came about, for every result that used them."""
        if self.oracle:
            return "oracle: true output lengths"
        if self.prediction_error is None:
            return "predictions given with the workload"
        return f"predictions with log-normal error, sigma {self.prediction_error:g}"

    @property
    def prefix_blocks(self) -> Array:
        """How many prefix blocks each request has, shape (n,)."""
        return np.diff(self.block_offsets)

    def blocks(self, request: int) -> Array:
        """The prefix blocks' ids of one request."""
        return np.asarray(self.block_ids[self.block_offsets[request] : self.block_offsets[request + 1]])

    def known_blocks(self) -> Array:
        """How many of each request's leading blocks an earlier request had: hits in an infinite cache, shape (n,)."""
        if not len(self.block_ids):
            return np.zeros(len(self), dtype=np.int64)
        _, first, which = np.unique(self.block_ids, return_index=True, return_inverse=True)
        owner = np.repeat(np.arange(len(self)), self.prefix_blocks)
        # An id that is known implies that those before it are, so the leading ones need no search.
        known = first[which] < self.block_offsets[owner]
        return np.bincount(owner[known], minlength=len(self))

    def select(self, requests: ArrayLike) -> Workload:
        """The requests numbered `requests`, ascending; arrival times stay."""
        which = np.asarray(requests, dtype=np.int64)
        lists = [self.blocks(int(each)) for each in which]
        return replace(
            self,
            **{key: getattr(self, key)[which] for key in VECTORS},
            block_offsets=np.cumsum([0, *map(len, lists)]),
            block_ids=np.concatenate(lists) if lists else self.block_ids[:0],
        )

    def slice(self, start: float, end: float) -> Workload:
        """The requests that arrive in [start, end) seconds; time `start` becomes 0.

        Raises:
            WorkloadError: no request does.
        """
        first, last = np.searchsorted(self.arrival, (start, end))
        if first >= last:
            raise WorkloadError(f"workload {self.name} has no request in {start:g} to {end:g} s; slice another part")
        part = self.select(np.arange(first, last))
        return replace(part, arrival=part.arrival - start)

    def splits(self, shares: Mapping[str, float] | None = None) -> dict[str, Workload]:
        """Parts one after the other in time, named and as long as `shares` says; a later one never shows an earlier.

        Raises:
            WorkloadError: the shares are not positive with sum 1, or a part has no request.
        """
        shares = SPLITS if shares is None else shares
        if min(shares.values(), default=0) <= 0 or not math.isclose(sum(shares.values()), 1):
            raise WorkloadError(f"shares {dict(shares)}: give positive ones with the sum 1")
        cuts = self.arrival[0] + self.duration * np.cumsum([0, *shares.values()])
        cuts[-1] = math.nextafter(float(self.arrival[-1]), math.inf)  # the last request belongs to the last part
        return {key: self.slice(*span) for key, span in zip(shares, pairwise(cuts.tolist()), strict=True)}

    def scaled(self, rate: float) -> Workload:
        """The same requests at `rate` arrivals per second: all times from the first on are stretched alike.

        Raises:
            WorkloadError: the rate is not positive, or all requests come at once.
        """
        if not 0 < rate < math.inf:
            raise WorkloadError(f"rate {rate:g}: give arrivals per second above 0")
        if self.duration == 0:
            raise WorkloadError(f"workload {self.name}: all requests arrive at once, so it has no rate to scale")
        start = self.arrival[0]
        return replace(self, arrival=start + (self.arrival - start) * (self.rate / rate))

    def clipped(self, max_prompt: int | None = None, max_output: int | None = None) -> Workload:
        """Prompts cut to their first `max_prompt` tokens, with their blocks, and outputs and predictions likewise.

        Raises:
            WorkloadError: a limit is below 1.
        """
        for key, limit in (("max_prompt", max_prompt), ("max_output", max_output)):
            if limit is not None and limit < 1:
                raise WorkloadError(f"{key} is {limit}; give at least 1 token")
        prompt = self.prompt if max_prompt is None else np.minimum(self.prompt, max_prompt)
        most = np.minimum(self.prefix_blocks, -(-prompt // self.hash_block))
        place = np.arange(len(self.block_ids)) - np.repeat(self.block_offsets[:-1], self.prefix_blocks)
        return replace(
            self,
            prompt=prompt,
            output=self.output if max_output is None else np.minimum(self.output, max_output),
            predicted=self.predicted if max_output is None else np.minimum(self.predicted, max_output),
            block_offsets=np.concatenate([[0], np.cumsum(most)]),
            block_ids=self.block_ids[place < np.repeat(most, self.prefix_blocks)],
        )

    def with_predictions(self, error: float, seed: int = 0) -> Workload:
        """Predicted output = true output · exp(error · z), z standard normal, rounded, at least 1; 0 is the oracle.

        Raises:
            WorkloadError: the error is negative or no number.
        """
        if not 0 <= error < math.inf:
            raise WorkloadError(f"prediction error {error}: give the sigma of the logarithm, 0 or more")
        # Numbered apart, so that the first requests' predictions do not depend on how many follow.
        noise = np.random.default_rng((seed, 0x9D)).standard_normal(len(self))
        with np.errstate(over="ignore"):
            drawn = np.rint(self.output * np.exp(error * noise))
        predicted = np.clip(drawn, 1, 2**31).astype(np.int64) if error else self.output
        return replace(self, predicted=predicted, prediction_error=float(error))

    def with_slos(self, ttft: ArrayLike, tpot: ArrayLike) -> Workload:
        """Service levels in seconds: one for all requests, or one for each."""
        each_ttft, each_tpot = (
            np.broadcast_to(np.asarray(level, dtype=np.float64), len(self)) for level in (ttft, tpot)
        )
        return replace(self, ttft=each_ttft, tpot=each_tpot)


def _refuse_lengths(workload: Workload) -> None:
    n = len(workload.arrival)
    for name in VECTORS:
        if getattr(workload, name).shape != (n,):
            shape = getattr(workload, name).shape
            raise WorkloadError(
                f"workload {workload.name}: {name} has shape {shape}; give one number a request, ({n},)"
            )
    offsets = workload.block_offsets
    if offsets.shape != (n + 1,) or offsets[0] != 0 or offsets[-1] != len(workload.block_ids):
        raise WorkloadError(
            f"workload {workload.name}: block_offsets must be {n + 1} numbers from 0 to the number of ids"
        )


def _refuse_values(workload: Workload) -> None:
    """Name the first request with a number out of its range."""
    arrival, most = workload.arrival, -(-workload.prompt // max(workload.hash_block, 1))
    rules = (
        ("arrival", ~np.isfinite(arrival), "give a finite time in seconds"),
        ("arrival", np.diff(arrival, prepend=-np.inf) < 0, "sort the requests by arrival"),
        *((name, getattr(workload, name) < 1, "give at least 1 token") for name in _COUNTS),
        *((name, ~(getattr(workload, name) > 0), "give seconds above 0, inf for none") for name in ("ttft", "tpot")),
        ("group", workload.group < -1, "give a number ≥ 0, or −1 for none"),
        ("client", workload.client < 0, "give a number ≥ 0"),
        ("prefix_blocks", workload.prefix_blocks < 0, "let block_offsets ascend"),
        ("prefix_blocks", workload.prefix_blocks > most, f"give one for every {workload.hash_block} prompt tokens"),
    )
    for name, wrong, remedy in rules:
        if wrong.any():
            request = int(np.argmax(wrong))
            value = getattr(workload, name)[request]
            raise WorkloadError(f"workload {workload.name}, request {request}: {name} is {value:g}; {remedy}")
    if workload.hash_block < 1:
        raise WorkloadError(f"workload {workload.name}: hash_block is {workload.hash_block}; give at least 1 token")


def _refuse_blocks(workload: Workload) -> None:
    """Equal ids must follow equal ids."""
    ids = workload.block_ids
    if not len(ids):
        return
    before = np.concatenate([[-1], ids[:-1]])
    before[workload.block_offsets[:-1][workload.prefix_blocks > 0]] = -1
    _, first, which = np.unique(ids, return_index=True, return_inverse=True)
    wrong = (before != before[first[which]]) | (ids < 0)
    if wrong.any():
        place = int(np.argmax(wrong))
        request = int(np.searchsorted(workload.block_offsets, place, side="right")) - 1
        raise WorkloadError(
            f"workload {workload.name}, request {request}: block {ids[place]} is negative or follows {before[place]} "
            f"here and {before[first[which[place]]]} elsewhere; give ids ≥ 0 that stand for a block and all before it"
        )
