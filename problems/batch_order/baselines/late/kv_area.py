"""Least KV area first: token-iterations of memory from the end of the prefill to the last token.

Source: the area that `problems.area` bounds, taken as processing time on the KV cache: W. E. Smith (1956), Various
optimizers for single-stage production, Nav. Res. Logist. Q. 3.
Tag: inspired by
Deviations: the prompt's chunks before the last are not counted.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: Σ_{j<o} (p + j)."""
    p, o = requests.prompt, requests.output
    score: np.ndarray = o * p + o * (o - 1) / 2
    return score
