"""Found by the offline genetic proposer (typed genetic programming, not an LLM).

Operator: mutate.
"""

import numpy as np

BUDGET = 256


def rank_waiting(view) -> np.ndarray:
    """Score what `view` holds; the lowest goes next."""
    product = view.predicted * (1 + view.ttft_due / (1 + view.cached.mean()))
    return product - view.cached


if BUDGET < 2048:  # the engine's own limit: without the function it is not asked in every step

    def token_budget(view) -> float:
        """Tokens of this step at most."""
        return float(min(BUDGET, view.max_tokens))
