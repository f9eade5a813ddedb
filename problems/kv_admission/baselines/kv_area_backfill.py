"""KV-area order with backfilling: what does not fit now is passed over, not waited for.

Source: W. E. Smith (1956), Naval Res. Logist. Q. 3, with the memory area as processing time, and D. Lifka (1995),
The ANL/IBM SP scheduling system, JSSPP.
Tag: inspired by Smith's rule and backfilling
Deviations: no reservation for the request passed over; whether a request fits is judged beside what runs, before
others are admitted in the same round.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its area, behind all that fit if it does not."""
    score: np.ndarray = np.where(requests.room >= 0, requests.area, requests.area + 1e12)
    return score
