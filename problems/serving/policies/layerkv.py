"""LayerKV-like: prompts are admitted as long as the running decodes can bear the pause within their objectives.

A request that has generated j tokens may have used j · TPOT since its first one; what it has not used, it can spend on
prompts of others. As many waiting requests are admitted as the least of these allowances has time for.

Source: Y. Xiong et al. (2024), LayerKV: optimizing large language model serving with layer-wise KV cache management,
arXiv 2410.00428: its SLO-aware scheduler.
Tag: inspired by LayerKV
Deviations: one prompt is admitted whenever none is under way, since chunks bound the pause here; the other half,
admission as soon as the blocks of x < L layers fit, needs an engine that keeps the rest elsewhere; ours wants the
blocks of all layers. The speed of prefill is the fastest seen so far.
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
        """Seconds per token, 0 while nothing tells."""
        if view.now < self.now:
            self.__init__()  # type: ignore[misc]
        running = view.is_running > 0
        computed = dict(zip(view.id[running].tolist(), view.computed[running].tolist(), strict=True))
        tokens = sum(count - self.computed[number] for number, count in computed.items() if number in self.computed)
        if view.now > self.now and view.last_step > 0:
            self.best = max(self.best, tokens / view.last_step)
        self.now, self.computed = view.now, computed
        return 1 / self.best if self.best > 0 else 0.0


SPEED = Speed()


def admit_limit(view: Any) -> float:
    """How many may run: those that run and the waiting ones whose prompts the least allowance has time for."""
    running = view.is_running > 0
    seconds = SPEED.see(view)
    decodes = running & (view.output > 0)
    if not decodes.any():
        return float(view.max_running)
    due = view.ttft_due + view.output * view.tpot
    under_way = float((view.prompt + view.output - view.computed)[running & (view.output == 0)].sum())
    least = view.running + (under_way == 0)
    allowance = float((due - view.now)[decodes].min()) - under_way * seconds
    needed = np.cumsum((view.prompt - view.cached)[~running]) * seconds
    return float(max(view.running + (needed <= allowance).sum(), least))
