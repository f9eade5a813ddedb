"""MC-SF: memory-constrained shortest first, by output length.

Source: P. Jaillet, J. Jiang, K. Mellou, M. Molinaro, C. Podimata and Z. Zhou (2025), Online scheduling for LLM
inference with KV cache constraints, arXiv 2502.07115, algorithm 1.
Tag: faithful
Deviations: none; the check that every round to come fits, and the stop at the first that does not, are the problem's.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its output length."""
    score: np.ndarray = requests.output
    return score
