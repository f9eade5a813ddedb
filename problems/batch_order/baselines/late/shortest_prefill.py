"""Shortest prefill first: the prompt that is done soonest goes first.

Source: the order of waiting prompts in SLAI; reference figures of this project call it shortest prompt first.
Tag: inspired by
Deviations: the order of prompts only; SLAI also pauses decodes, which this model does not allow.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: tokens of its prompt."""
    score: np.ndarray = requests.prompt
    return score
