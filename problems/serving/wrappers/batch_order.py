"""A batch-order priority as a policy: a step is an iteration, as long as the last one.

requests: prompt = tokens to prefill, the cached prefix left out; output = predicted tokens that are left; arrival,
waited and deadline (of the last token) in iterations. state: now in iterations; free_tokens = what the running
requests leave of the budget, one token each; free_kv = spare_kv = free tokens of KV: what those that run will still
need is not known.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

priority: Callable[..., np.ndarray]


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: its priority."""
    step = max(view.last_step, 1e-3)
    free = view.free_blocks * view.block_size
    requests = SimpleNamespace(
        prompt=np.maximum(view.prompt + view.output - view.cached, 1),
        output=np.maximum(view.predicted - view.output, 1),
        arrival=view.arrival / step,
        waited=(view.now - view.arrival) / step,
        deadline=np.minimum(view.ttft_due + view.predicted * view.tpot, view.now + 1e9) / step,
    )
    state = SimpleNamespace(
        now=view.now / step,
        free_tokens=max(view.max_tokens - view.running, 1),
        free_kv=max(free, 1),
        spare_kv=free,
        running=view.running,
        budget=view.max_tokens,
        capacity=view.total_blocks * view.block_size,
    )
    return np.asarray(priority(requests, state))  # noqa: F821  defined above
