"""FairBatching-like: a step is as long as the most urgent decode can bear, and prompts come before decodes with slack.

The j-th token of a request is due at arrival + TTFT objective + j · TPOT objective, so a request that was fast may
fall back. The time of a step, a + b · tokens + c · KV, is fitted while serving.

Source: H. Lyu et al. (2025), FairBatching: fairness-aware batch formation for LLM inference, arXiv 2510.14392.
Tag: inspired by FairBatching
Deviations: the engine gives tokens to running requests before waiting ones, so only prompts under way, not new ones,
go before the decodes that have slack; one that is late for good is not hurried but kept at its TPOT objective; the
tokens of the last step are read off the views; no balancing among nodes.
"""

from typing import Any

import numpy as np

URGENT = 2.0
"""Decodes due within so many steps as long as the last one are urgent."""
RIDGE = 1e-6


class StepTime:
    """Least squares of a step's seconds over 1, tokens and KV tokens (both in thousands), updated with every step."""

    def __init__(self) -> None:
        self.square = RIDGE * np.eye(3)
        self.moment = np.zeros(3)
        self.now = -1.0
        self.kv = 0.0
        self.computed: dict[int, float] = {}

    def see(self, view: Any) -> None:
        """Learn from the step that ended at `view.now`, from the second call on; seeing it twice does no harm."""
        if view.now < self.now:
            self.__init__()  # type: ignore[misc]
        if view.now == self.now:
            return
        running = view.is_running > 0
        computed = dict(zip(view.id[running].tolist(), view.computed[running].tolist(), strict=True))
        tokens = sum(count - self.computed.get(number, 0.0) for number, count in computed.items())
        if self.computed and tokens > 0 and view.last_step > 0:
            features = np.array([1.0, tokens / 1000, self.kv / 1000])
            self.square += np.outer(features, features)
            self.moment += view.last_step * features
        self.now, self.computed, self.kv = view.now, computed, float(view.computed[running].sum())

    def tokens_within(self, seconds: float, kv: float) -> float:
        """The most tokens that a step of `seconds` may hold; infinite while nothing tells."""
        a, b, c = np.maximum(np.linalg.solve(self.square, self.moment), 0.0)
        return float(1000 * (seconds - a - c * kv / 1000) / b) if b > 1e-9 else float("inf")


MODEL = StepTime()


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: urgent decodes by deadline, then prompts, then the decodes that have slack."""
    decodes, slack = _decodes(view), _due(view) - view.now
    urgent = decodes & (slack <= URGENT * view.last_step)
    band = np.where(urgent, 0.0, np.where(decodes, 2.0, 1.0))
    order = np.lexsort((slack, band))
    score = np.empty(len(order))
    score[order] = np.arange(len(order))
    return score


def token_budget(view: Any) -> float:
    """Tokens of this step: as many as fit into the smallest slack, but at least one for every decode."""
    MODEL.see(view)
    decodes = _decodes(view)
    if not decodes.any():
        return float(view.max_tokens)
    slack = float(np.maximum(_due(view) - view.now, view.tpot)[decodes].min())
    tokens = MODEL.tokens_within(slack, float(view.computed[decodes].sum()))
    return float(np.clip(tokens, decodes.sum() + 1, view.max_tokens)) if tokens == tokens else float(view.max_tokens)


def _decodes(view: Any) -> np.ndarray:
    """Which requests need nothing but the token after their last."""
    answer: np.ndarray = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    return answer


def _due(view: Any) -> np.ndarray:
    """When the next token of each request is due (s)."""
    due: np.ndarray = view.ttft_due + view.output * view.tpot
    return due
