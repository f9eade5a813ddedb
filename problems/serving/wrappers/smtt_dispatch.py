"""An SMTT rule as a policy: every waiting request is a job, and the engine the machine.

p = predicted service time: steps for its prompt and its predicted output, as long as the last step each (s).
d = time at which its last token is due: TTFT objective, then TPOT objective for each predicted token.
t = now. A rule for one job at a time decides here which one is admitted next; jobs then run together.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

priority: Callable[..., np.ndarray]


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: that of the job it is; ties go to the earlier deadline, then to the shorter."""
    step = max(view.last_step, 1e-3)
    prefill = view.prompt + view.output - view.cached
    tokens = np.maximum(view.predicted - view.output, 1)
    p = step * (np.ceil(prefill / view.max_tokens) + tokens)
    d = np.minimum(view.ttft_due + view.predicted * view.tpot, view.now + 1e9)
    scores = np.asarray(priority(p.copy(), d.copy(), view.now))  # noqa: F821  defined above
    order = np.lexsort((p, d, scores))
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    return place
