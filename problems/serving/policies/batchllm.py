"""BatchLLM-like: requests of one prefix group together, groups with much decoding per prompt token first.

Groups that decode much are begun early, so that the prompts of the later ones have decodes to share their steps with.
The batch grows as long as the KV memory of all its requests, outputs included, fits.

Source: Z. Zheng et al. (2024), BatchLLM: optimizing large batched LLM inference with global prefix sharing and
throughput-oriented token batching, arXiv 2412.03594.
Tag: inspired by BatchLLM
Deviations: groups are given by the workload, not found by dynamic programming on a global prefix tree; only the
requests shown are known, not a whole offline job; the ratio counts a shared prefix for each of its requests.
"""

from typing import Any

import numpy as np


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: groups whose prefix is cached first, then by decode/prompt ratio, together."""
    group = np.where(view.group >= 0, view.group, -1 - view.id)
    _, member = np.unique(group, return_inverse=True)
    ratio = np.bincount(member, view.predicted) / np.bincount(member, view.prompt)
    begun = np.bincount(member, (view.cached > 0) & (view.group >= 0)) > 0
    place = np.empty(len(ratio))
    place[np.lexsort((-ratio, ~begun))] = np.arange(len(ratio))
    score: np.ndarray = place[member]
    return score


def admit_limit(view: Any) -> float:
    """How many may run: those that run and as many more as fit with all that they are predicted to generate."""
    running = view.is_running > 0
    peak = np.ceil((view.prompt + np.maximum(view.predicted, view.output)) / view.block_size)
    needed = peak[running].sum() + np.cumsum(peak[~running])
    return float(view.running + (needed <= view.total_blocks).sum())
