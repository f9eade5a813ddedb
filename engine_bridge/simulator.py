"""The iteration core: requests admitted in an order of your choice, chunked prefill, growing KV, unit step cost.

Time is counted in iterations; iteration t lasts from time t to time t + 1. In each one

1. every request whose prompt is finished decodes one token, and none ever pauses (stall-free);
2. the tokens left of the budget go on prefilling the prompt that was cut off in the iteration before;
3. the tokens left then admit waiting requests in the order of their scores, the last one with a chunk of its prompt
   only, stopping at the first request that does not fit (as vLLM's scheduler does).

The iteration that finishes a prompt emits the first output token. So request i, its prompt finished in iteration
t_i, holds p_i + j tokens of KV in iteration t_i + j, and completes at time t_i + o_i; before, it holds what has been
prefilled of it, the present chunk included. A request *fits* if its whole future, laid over the futures of all that
run, stays within the KV capacity: nothing is ever preempted.

Without a token budget an admitted request runs without a break from its start: the model of Jaillet et al.
(arXiv 2502.07115), whose KV s_i + t − k in rounds t = k+1 … k+o_i is this one's with a prompt of s_i + 1 tokens
started in iteration k.

    simulation = Simulation(prompt, output, arrival, capacity=1000, budget=64)
    while simulation.advance():
        simulation.admit(scores_of(simulation.waiting))
    simulation.completion
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNLIMITED = 2**60
"""The token budget where there is none."""

NOW, WAIT, RUN, ARRIVED, STALE, CHUNKS = range(6)
"""Places in the state shared with the compiled part; see `engine_bridge.iterations`."""

LOG_FULL = 2
"""The compiled part's reason to stop that only concerns memory."""


class Simulation:
    """The state of one run: what waits, what runs, and what has been decided so far."""

    def __init__(
        self, prompt: Array, output: Array, arrival: Array, *, capacity: int, budget: int | None = None
    ) -> None:
        """All requests are known here, but shown only once they have arrived.

        Args:
            prompt: tokens of each prompt, whole numbers ≥ 1, shape (n,).
            output: tokens each request generates, ≥ 1, shape (n,).
            arrival: the first iteration each request may run in, ≥ 0, shape (n,).
            capacity: tokens of KV the cache holds; no request may need more than that alone (p_i + o_i − 1).
            budget: tokens processed in one iteration at most; None for no limit.

        Raises:
            ValueError: a number is out of its range, or the arrays differ in length or are empty.
        """
        self.capacity = int(capacity)
        self.budget = UNLIMITED if budget is None else int(budget)
        self._prompt, self._output, self._arrival = (
            np.ascontiguousarray(values, dtype=np.int64) for values in (prompt, output, arrival)
        )
        self._refuse()
        n = len(self._prompt)
        self._by_arrival = np.argsort(self._arrival, kind="stable")
        self._waiting = np.zeros(n, dtype=np.int64)
        self._scores = np.zeros(n)
        self._state = np.zeros(6, dtype=np.int64)
        # A prompt may wait for all decodes to end, is prefilled at full budget then, and decodes.
        window = 2 * int(self._output.max()) + -(-int(self._prompt.max()) // self.budget) + 2
        self._plan = np.zeros((3, window), dtype=np.int64)
        self._log = np.zeros((2 * (n + window), 3), dtype=np.int64)

    @property
    def now(self) -> int:
        """The present iteration."""
        return int(self._state[NOW])

    @property
    def waiting(self) -> Array:
        """Numbers of the requests that wait, ascending; (m,), int64, a read-only view that holds until `advance`."""
        waiting = self._waiting[: self._state[WAIT]]
        waiting.setflags(write=False)
        return waiting

    @property
    def running(self) -> int:
        """How many requests are admitted and not finished."""
        return int(self._state[RUN])

    @property
    def free_tokens(self) -> int:
        """Tokens of the budget that are left in this iteration, after decodes and the prompt that goes on."""
        return self.budget - int(self._plan[0, self.now % self._plan.shape[1]])

    @property
    def free_kv(self) -> int:
        """Tokens of KV that are free in this iteration; running requests will need some of them later."""
        return self.capacity - int(self._plan[1, self.now % self._plan.shape[1]])

    @property
    def room(self) -> Array:
        """For each of `waiting`, the KV left in the tightest iteration of its future, were it alone admitted now.

        Negative: it does not fit, by that many tokens. Shape (m,), int64.
        """
        from engine_bridge import iterations  # numba takes half a second to import

        waiting = self._waiting[: self._state[WAIT]]
        return iterations.spares(self._plan, self.now, waiting, self._prompt, self._output, self.capacity, self.budget)

    def advance(self) -> bool:
        """Run on to the next choice: True if `admit` has to be called, False once every request is admitted.

        A choice is due in an iteration with room for a token, if more than one request waits and a request has
        arrived, finished or been admitted since the last choice. Until then the last order holds, and its first
        request is admitted as soon as it fits.
        """
        from engine_bridge import iterations  # numba takes half a second to import

        return self._run(iterations.advance) == iterations.CHOICE

    def follow(self, scores: Array) -> None:
        """Run to the end with scores that never change, one for each request; the same as asking again and again.

        Raises:
            ValueError: not one score per request, or one of them is NaN.
        """
        from engine_bridge import iterations

        fixed = _scores(scores, len(self._prompt))
        self._run(iterations.follow, fixed)

    def admit(self, scores: Array) -> None:
        """Order what waits by `scores`, one for each of `waiting`: lowest first, ties by the lower number.

        The order is carried out by the next `advance`, which starts with the present iteration.

        Raises:
            ValueError: not one score per waiting request, or one of them is NaN.
        """
        count = int(self._state[WAIT])
        self._scores[:count] = _scores(scores, count)
        self._state[STALE] = 0

    @property
    def spare_kv(self) -> int:
        """Tokens of KV that stay free whatever happens to those running: a request whose peak is no larger fits."""
        return self.capacity - int(self._plan[1].max())

    @property
    def chunks(self) -> Array:
        """The schedule so far: rows (request, iteration, prompt tokens), in the order decided; shape (k, 3), int64."""
        return self._log[: self._state[CHUNKS]].copy()

    @property
    def completion(self) -> Array:
        """When each request finishes: t_i + o_i, −1 for one that is not admitted yet; shape (n,), int64."""
        finished = np.full(len(self._prompt), -1, dtype=np.int64)
        chunks = self.chunks
        np.maximum.at(finished, chunks[:, 0], chunks[:, 1])
        return np.where(finished < 0, -1, finished + self._output)

    def _run(self, kernel: Callable[..., int], *more: Array) -> int:
        """Call a compiled function, with a longer log as often as it asks for one, and return its reason to stop."""
        while True:
            reason = kernel(
                self._plan,
                self._state,
                self._waiting,
                self._scores,
                self._log,
                self._prompt,
                self._output,
                self._arrival,
                self._by_arrival,
                self.capacity,
                self.budget,
                *more,
            )
            if reason != LOG_FULL:
                return reason
            self._log = np.concatenate([self._log, np.zeros_like(self._log)])

    def _refuse(self) -> None:
        """Raise ValueError for numbers the model has no meaning for."""
        if not len(self._prompt) or not len(self._prompt) == len(self._output) == len(self._arrival):
            raise ValueError("a simulation needs at least one request, and as many outputs and arrivals as prompts")
        if self._prompt.min() < 1 or self._output.min() < 1 or self._arrival.min() < 0 or self.budget < 1:
            raise ValueError("prompts, outputs and the token budget must be at least 1, arrivals at least 0")
        peak = int((self._prompt + self._output).max()) - 1
        if peak > self.capacity:
            raise ValueError(f"a request needs {peak} tokens of KV, more than the capacity of {self.capacity}")


def _scores(scores: Array, count: int) -> Array:
    """`scores` as floats, one for each of `count` requests."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (count,) or np.isnan(scores).any():
        raise ValueError(f"expected {count} scores without NaN, got an array of shape {scores.shape}")
    return scores
