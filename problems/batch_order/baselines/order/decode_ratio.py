"""Requests with the largest ratio of decode to prefill first, so that decodes run beside the prefills to come.

Source: Zheng et al., BatchLLM: Optimizing Large Batched LLM Inference with Global Prefix Sharing
and Throughput-oriented Token Batching, arXiv 2412.03594 (groups by decode/prompt ratio, descending).
Tag: inspired by
Deviations: every request is a group of its own, as this problem has no shared prefixes.
"""

from typing import Any

import numpy as np


def priority(requests: Any, state: Any) -> np.ndarray:
    """Score of each waiting request: minus the ratio of output to prompt."""
    score: np.ndarray = -requests.output / requests.prompt
    return score
