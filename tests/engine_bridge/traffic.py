"""Small random workloads and a plain cost model for the tests of the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine_bridge.cost import Coefficients, CostModel
from engine_bridge.workload import Workload

ROUND_COST = CostModel(
    name="round numbers",
    coefficients=Coefficients(fixed=1e-3, request=1e-5, weights=3e-3, token=2e-5, pair=1e-9, kv=3e-8),
)


def make_workload(seed: int = 0, n: int = 20, rate: float = 50.0, **arrays: Any) -> Workload:
    """Requests at random times and of random lengths; `arrays` replace what is drawn."""
    rng = np.random.default_rng(seed)
    drawn = {
        "arrival": np.cumsum(rng.exponential(1 / rate, n)),
        "prompt": rng.integers(1, 200, n),
        "output": rng.integers(1, 60, n),
        "predicted": rng.integers(1, 60, n),
        "ttft": np.full(n, 1.0),
        "tpot": np.full(n, 0.1),
    }
    return Workload.of("random", **(drawn | arrays))
