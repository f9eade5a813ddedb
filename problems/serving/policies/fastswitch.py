"""FastSwitch-like: users' priorities decide who runs and who is preempted; of equals, who is cheap to bring back.

Source: A. Shen et al. (2024), FastSwitch: optimizing context switching efficiency in fairness-aware large language
model serving, arXiv 2411.18424.
Tag: inspired by FastSwitch
Deviations: KV is recomputed, not swapped, so the cost of a switch is the tokens to be computed again; priorities do not
change while a request is served; a waiting request displaces another only when memory runs out.
"""

from typing import Any

import numpy as np


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: its priority, then its arrival."""
    return _places(view.arrival, view.priority)


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: its priority, then the KV it would lose, most first: the last is preempted."""
    return _places(-view.computed, view.priority)


def _places(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Place of each request in the order by `first`, then by `second`."""
    order = np.lexsort((second, first))
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    return place
