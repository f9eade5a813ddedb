"""SPT: shortest processing time first.

Source: W. E. Smith (1956), Various optimizers for single-stage production, Naval Res. Logist. Q. 3.
Tag: faithful
Deviations: none; ties go to the earlier due date.
"""

import numpy as np


def priority(p: np.ndarray, d: np.ndarray, t: float) -> np.ndarray:
    """Score of each remaining job at time t: its processing time."""
    return p
