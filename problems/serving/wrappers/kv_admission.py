"""An admission priority as a policy: a round is a step, as long as the last one, and memory is the KV cache in tokens.

requests: output = predicted tokens that are left; prompt = what it holds when it starts; arrival and waited in rounds;
peak and area follow from these; room = free tokens of KV less its peak: what those that run will give back and still
need is not known.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

admit_priority: Callable[..., np.ndarray]


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: its admission priority."""
    step = max(view.last_step, 1e-3)
    free = view.free_blocks * view.block_size
    prompt = view.prompt + view.output
    output = np.maximum(view.predicted - view.output, 1)
    requests = SimpleNamespace(
        prompt=prompt,
        output=output,
        arrival=view.arrival / step,
        waited=(view.now - view.arrival) / step,
        peak=prompt + output,
        area=prompt * output + output * (output + 1) / 2,
        room=free - prompt - output,
    )
    state = SimpleNamespace(
        now=view.now / step,
        free=free,
        capacity=view.total_blocks * view.block_size,
        running=view.running,
        waiting=view.waiting,
    )
    return np.asarray(admit_priority(requests, state))  # noqa: F821  defined above
