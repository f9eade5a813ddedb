"""Layered prefill: all decodes in every step, and the prompts that are under way in one group of layers a step.

A cohort of prompts runs through the groups of layers one step after the other; the next cohort starts when it is done.
1, 2, 4, 8 or 16 groups for up to 512, 1,024, 2,048, 4,096 or more tokens, so that a step has about the work of a chunk
of 512 tokens, but every token meets every weight only once.

Source: G. Lee et al. (2025), From tokens to layers: redefining stall-free scheduling for LLM serving with layered
prefill, arXiv 2510.08055.
Tag: faithful
Deviations: a cohort is what the engine schedules in one step, so at most max_tokens less the decodes; a longer prompt
is several cohorts.
"""

from typing import Any

import numpy as np

SIZES = (512, 1024, 2048, 4096)
"""Tokens of a cohort up to which it gets 1, 2, 4, 8 groups; beyond, 16."""


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: decodes first."""
    score: np.ndarray = np.where(_decodes(view), 0.0, 1.0)
    return score


def layer_groups(view: Any) -> int:
    """Number of groups of layers for the prompts of this step."""
    return 1 << int(np.searchsorted(SIZES, _cohort(view)))


def _decodes(view: Any) -> np.ndarray:
    """Which requests need nothing but the token after their last."""
    answer: np.ndarray = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    return answer


def _cohort(view: Any) -> float:
    """Prompt tokens that this step will hold: those under way and those that will be admitted, up to the budget."""
    running, decodes = view.is_running > 0, _decodes(view)
    left = view.prompt + view.output - view.computed
    under_way = float(left[running & ~decodes].sum())
    new = (left - view.cached)[~running]
    blocks = np.cumsum(np.ceil(new / view.block_size))
    places = np.arange(1, len(new) + 1)
    admitted = (blocks <= view.free_blocks) & (places <= view.max_running - view.running)
    return float(min(under_way + new[admitted].sum(), view.max_tokens - decodes.sum()))
