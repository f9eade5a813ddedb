"""Sarathi-Serve with a budget of 2048 tokens: stall-free batches of decodes and chunks of prompts.

Source: A. Agrawal et al. (2024), Taming throughput–latency tradeoff in LLM inference with Sarathi-Serve, OSDI,
algorithm 3; the budget of 2048 is for the relaxed SLO: P99 TBT at most 25 decode iterations.
Tag: faithful
Deviations: none; what is preempted is the last prompt under way, or else the last decode.
"""

from typing import Any

import numpy as np

BUDGET = 2048


def token_budget(view: Any) -> float:
    """Tokens in this step: the budget, whatever the engine would allow beyond it."""
    return float(min(BUDGET, view.max_tokens))


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: decodes first, then prompts under way; new ones come last in any engine."""
    score: np.ndarray = np.where(_decodes(view), 0.0, 1.0)
    return score


def _decodes(view: Any) -> np.ndarray:
    """Which requests need nothing but the token after their last."""
    answer: np.ndarray = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    return answer
