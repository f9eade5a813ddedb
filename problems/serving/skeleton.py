"""The skeleton of a serving policy for the genetic proposer: an order of admission, and tokens per step."""

from problems.entry import Record
from problems.skeleton import Skeleton

BUDGETS = (256, 512, 1024, 2048)
"""Tokens of a step that a policy may choose from; the last is the standard engine's own limit."""

SOURCE = '''
if BUDGET < 2048:  # the engine's own limit: without the function it is not asked in every step

    def token_budget(view) -> float:
        """Tokens of this step at most."""
        return float(min(BUDGET, view.max_tokens))
'''


def skeleton(view: Record) -> Skeleton:
    """`rank_waiting` is what the proposer writes; a small budget keeps decodes from waiting for prompts."""
    return Skeleton(function="rank_waiting", arguments=(view,), source=SOURCE, parameters={"BUDGET": BUDGETS})
