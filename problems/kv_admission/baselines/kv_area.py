"""KV-area order: the request that takes the least memory over time goes first.

Source: W. E. Smith (1956), Various optimizers for single-stage production, Naval Res. Logist. Q. 3: shortest
processing time first, where the processing time is the token-rounds of memory s·o + o(o + 1)/2.
Tag: inspired by Smith's rule
Deviations: memory is shared among many requests and is not one machine; admission stops at the first misfit.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its area."""
    score: np.ndarray = requests.area
    return score
