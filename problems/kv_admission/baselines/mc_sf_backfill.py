"""MC-SF with backfilling: what does not fit now is passed over, not waited for.

Source: P. Jaillet et al. (2025), arXiv 2502.07115, algorithm 1, and D. Lifka (1995), The ANL/IBM SP scheduling
system, JSSPP: requests behind one that does not fit may start before it.
Tag: inspired by MC-SF and backfilling
Deviations: no reservation for the request passed over; whether a request fits is judged beside what runs, before
others are admitted in the same round.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its output length, behind all that fit if it does not."""
    score: np.ndarray = np.where(requests.room >= 0, requests.output, requests.output + 1e12)
    return score
