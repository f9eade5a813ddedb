"""SJF: shortest job first, by the predicted output.

Source: W. E. Smith (1956), Various optimizers for single-stage production, Nav. Res. Logist. Q. 3; for LLM serving
Y. Fu et al. (2024), Efficient LLM scheduling by learning to rank, NeurIPS.
Tag: faithful
Deviations: none; as there only waiting requests are put in order, those that run keep running.
"""

from typing import Any

import numpy as np


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: tokens it is still predicted to generate."""
    score: np.ndarray = view.predicted - view.output
    return score
