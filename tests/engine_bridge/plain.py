"""The iteration core in plain Python, iteration by iteration and request by request: an oracle for the compiled one."""

from __future__ import annotations

import numpy as np

Case = tuple[list[int], list[int], list[int], int, int, int]
"""Prompts, outputs, arrivals, capacity, budget, and a seed for scores."""


class Plain:
    """One run; scores are drawn from the seed whenever they are due."""

    def __init__(self, case: Case) -> None:
        self.prompt, self.output, self.arrival, self.capacity, self.budget, seed = case
        self.rng = np.random.default_rng(seed)
        self.left = list(self.prompt)
        self.finished: dict[int, int] = {}  # the iteration that finished the prompt
        self.admitted: list[int] = []
        self.chunks: list[tuple[int, int, int]] = []
        self.now = 0

    def run(self) -> list[tuple[int, int, int]]:
        """The chunks of the whole run."""
        waiting: list[int] = []
        scores: dict[int, int] = {}
        stale = True
        while len(self.finished) < len(self.prompt):
            arrived = [
                i for i, a in enumerate(self.arrival) if a <= self.now and i not in self.admitted and i not in waiting
            ]
            waiting = sorted(waiting + arrived)
            stale |= bool(arrived) or self.now in [t + self.output[i] for i, t in self.finished.items()]
            for i in self.admitted:
                self.prefill(i)
            if waiting and self.free() and self.held() < self.capacity:
                if stale and len(waiting) > 1:
                    scores = dict(zip(waiting, self.rng.integers(0, 4, len(waiting)).tolist(), strict=True))
                    stale = False
                stale |= self.admit(waiting, scores)
            self.now += 1
        return self.chunks

    def admit(self, waiting: list[int], scores: dict[int, int]) -> bool:
        """Admit by score up to the first that does not fit; whether any was."""
        before = len(waiting)
        for i in sorted(waiting, key=lambda i: scores.get(i, 0)):
            if not self.free() or not self.fits(i):
                break
            waiting.remove(i)
            self.admitted.append(i)
            self.prefill(i)
        return len(waiting) < before

    def prefill(self, i: int) -> None:
        """Give request i as much of this iteration as it can use."""
        tokens = min(self.free(), self.left[i])
        if tokens:
            self.chunks.append((i, self.now, tokens))
            self.left[i] -= tokens
            if self.left[i] == 0:
                self.finished[i] = self.now

    def free(self) -> int:
        """Tokens of this iteration that are left."""
        decodes = sum(t < self.now < t + self.output[i] for i, t in self.finished.items())
        return self.budget - decodes - sum(tokens for _, at, tokens in self.chunks if at == self.now)

    def held(self) -> int:
        """Tokens of KV in this iteration."""
        decoded = {i: self.now - t for i, t in self.finished.items()}
        return sum(
            self.prompt[i] - self.left[i] + decoded.get(i, 0)
            for i in self.admitted
            if decoded.get(i, 0) < self.output[i]
        )

    def fits(self, newcomer: int) -> bool:
        """Play the future of all admitted requests and the newcomer, without further admissions."""
        future = Plain((self.prompt, self.output, self.arrival, self.capacity, self.budget, 0))
        future.left, future.finished, future.chunks = list(self.left), dict(self.finished), list(self.chunks)
        future.admitted, future.now = [*self.admitted, newcomer], self.now
        while any(future.now < future.finished.get(i, future.now) + self.output[i] for i in future.admitted):
            for i in future.admitted:
                future.prefill(i)
            if future.held() > self.capacity:
                return False
            future.now += 1
        return True
