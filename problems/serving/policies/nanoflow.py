"""NanoFlow-like: a dense batch of constant size, decodes first, filled up with chunks of prompts.

Requests are admitted as long as the memory that all are predicted to need at their ends fits.

Source: K. Zhu et al. (2025), NanoFlow: towards optimal large language model serving throughput, OSDI.
Tag: inspired by NanoFlow
Deviations: nano-batches that overlap compute, memory and network inside a step belong to the engine and are left out:
here a step's time is that of the cost model; no offloading of KV to host memory and disk; batches are not formed
while the step before still runs.
"""

from typing import Any

import numpy as np

DENSE = 2048
"""Tokens of the dense batch: the size at which the paper's model is bound by compute."""


def token_budget(view: Any) -> float:
    """Tokens in this step: always the same."""
    return float(min(DENSE, view.max_tokens))


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: decodes first, then prompts under way."""
    decodes = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    score: np.ndarray = np.where(decodes, 0.0, 1.0)
    return score


def admit_limit(view: Any) -> float:
    """How many may run: as many as fit with all that they are predicted to generate."""
    running = view.is_running > 0
    peak = np.ceil((view.prompt + np.maximum(view.predicted, view.output + 1)) / view.block_size)
    needed = peak[running].sum() + np.cumsum(peak[~running])
    return float(view.running + (needed <= view.total_blocks).sum())
