"""FlowPrefill-like: prompts by slack-aware earliest deadline, an urgent one interrupts one that is under way.

Prompts that can still make their deadline go by deadline; those that cannot go after all of them.

Source: C. Hsieh et al. (2026), FlowPrefill: decoupling preemption from prefill scheduling granularity to mitigate
head-of-line blocking in LLM serving, arXiv 2602.16603.
Tag: inspired by FlowPrefill
Deviations: a prompt is interrupted between two steps (`chunk` 0), not between the operators of one; one engine for
prefill and decode, decodes first; the speed of prefill is the fastest seen so far.
"""

from typing import Any

import numpy as np


class Speed:
    """The most tokens per second that a step has processed so far."""

    def __init__(self) -> None:
        self.now = -1.0
        self.best = 0.0
        self.computed: dict[int, float] = {}

    def see(self, view: Any) -> float:
        """Look at a view that shows all running requests; seconds per token, 0 while nothing tells."""
        if view.now < self.now:
            self.__init__()  # type: ignore[misc]
        if view.now > self.now:
            running = view.is_running > 0
            computed = dict(zip(view.id[running].tolist(), view.computed[running].tolist(), strict=True))
            tokens = sum(count - self.computed[number] for number, count in computed.items() if number in self.computed)
            if view.last_step > 0:
                self.best = max(self.best, tokens / view.last_step)
            self.now, self.computed = view.now, computed
        return self.seconds

    @property
    def seconds(self) -> float:
        """Seconds per token."""
        return 1 / self.best if self.best > 0 else 0.0


SPEED = Speed()


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: its deadline, behind all others if it cannot be met."""
    return _urgency(view)


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: decodes first, then prompts like those that wait."""
    score: np.ndarray = np.where(_decodes(view), -1.0, _urgency(view))
    return score


def chunk(view: Any) -> np.ndarray:
    """Prompt tokens of each request in this step: none for one under way while a more urgent one can be admitted."""
    SPEED.see(view)
    waits, tokens = view.is_running == 0, np.full(len(view.id), view.max_tokens)
    if waits.any() and view.running < view.max_running:
        first = int(np.argmax(waits))
        fits = np.ceil((view.prompt[first] - view.cached[first]) / view.block_size) <= view.free_blocks
        if fits:
            urgency = _urgency(view)
            tokens[~waits & ~_decodes(view) & (urgency > urgency[first])] = 0.0
    return tokens


def _decodes(view: Any) -> np.ndarray:
    """Which requests need nothing but the token after their last."""
    answer: np.ndarray = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    return answer


def _urgency(view: Any) -> np.ndarray:
    """Deadline for the first token (s), a day later for a request that cannot make it or has it already."""
    left = view.prompt + view.output - view.computed - view.cached
    hopeless = (view.now + left * SPEED.seconds > view.ttft_due) | (view.output > 0)
    urgency: np.ndarray = view.ttft_due + 86400.0 * hopeless
    return urgency
