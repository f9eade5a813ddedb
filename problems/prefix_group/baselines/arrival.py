"""Arrival: in order of arrival, skipping what does not fit.

Source: first come, first served, as engines without a view of the whole batch do it (e.g. vLLM's default policy).
Tag: inspired by first come, first served
Deviations: a request that does not fit is passed over until the next batch; an engine would stop at it.
"""

from types import SimpleNamespace

import numpy as np


def join_score(request: SimpleNamespace, batch: SimpleNamespace, trie: SimpleNamespace) -> np.ndarray:
    """Score of each request that fits: its place in the order of arrival."""
    score: np.ndarray = request.arrival
    return score
