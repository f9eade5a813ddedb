"""Shortest prompt first: what can be done without knowing output lengths.

Source: shortest job first by the known part of the job, as serving engines offer it (e.g. vLLM's priority scheduling
with the prompt's length as priority).
Tag: inspired by shortest job first
Deviations: ties by output length are not broken; the other rules here know it.
"""

from typing import Any

import numpy as np


def admit_priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: its prompt length."""
    score: np.ndarray = requests.prompt
    return score
