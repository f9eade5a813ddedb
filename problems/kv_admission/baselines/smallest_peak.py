"""Smallest peak first: the request that needs the least memory at any time.

Source: the order in which most requests fit into memory at once (smallest item first, a bin-packing folklore rule).
Tag: inspired by smallest item first
Deviations: items grow with time and leave; the rule looks at their final size only.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: prompt + output."""
    score: np.ndarray = requests.peak
    return score
