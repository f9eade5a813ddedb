"""SLAI, the practical half of RAD: decodes wait until they must go, prompts use the time.

A decode has a last schedulable time, last token + TBT objective − offset · mean batch time. Those that have reached it
are critical and go first, then prompts under way, then waiting requests by shortest prompt, then the other decodes.

Source: A. Bari, P. Hegde and G. de Veciana (2025), Optimal scheduling algorithms for LLM inference: theory and
practice, arXiv 2508.01002.
Tag: faithful
Deviations: the offset is constant; the mean is over recent batches; a step holds at most 512 tokens, as with Sarathi-
Serve under the strict objective. In the engine running requests go before waiting ones, so the other decodes are held
back, but for as many as the tokens that prompts leave; which waiting requests will be admitted is computed here from
blocks and places, as the engine does.
"""

from typing import Any

import numpy as np

BUDGET = 512
OFFSET = 3.0
"""Mean batch times kept in reserve: for the batch that brings the token, for the one that may go before it, and since
either may be longer than the mean."""
RECENT = 0.1
"""Weight of the newest batch in the mean."""


class Mean:
    """Mean duration of recent steps (s), exponentially weighted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.seen = -1.0

    def see(self, now: float, last_step: float) -> float:
        """Count the step that ended at `now`, once; a clock that went back begins anew."""
        if now < self.seen:
            self.__init__()  # type: ignore[misc]
        if now > self.seen and last_step > 0:
            self.seconds += (RECENT if self.seconds else 1.0) * (last_step - self.seconds)
        self.seen = now
        return self.seconds


MEAN = Mean()


def rank_waiting(view: Any) -> np.ndarray:
    """Score of each waiting request: its prompt, shortest first."""
    score: np.ndarray = view.prompt
    return score


def rank_running(view: Any) -> np.ndarray:
    """Score of each running request: critical decodes by their last schedulable time, prompts, other decodes."""
    decodes, latest = _decodes(view), _latest(view)
    band = np.where(decodes & (latest <= view.now), 0.0, np.where(decodes, 2.0, 1.0))
    order = np.lexsort((np.where(decodes, latest, 0.0), band))
    score = np.empty(len(order))
    score[order] = np.arange(len(order))
    return score


def token_budget(view: Any) -> float:
    """Tokens in this step."""
    return float(min(BUDGET, view.max_tokens))


def hold(view: Any) -> np.ndarray:
    """For each running request 1 if it is a decode that can wait and prompts have a use for its token."""
    running = view.is_running > 0
    can_wait = (_decodes(view) & (_latest(view) > view.now))[running]
    critical = int(_decodes(view)[running].sum() - can_wait.sum())
    left = max(min(BUDGET, view.max_tokens) - critical - _prompt_tokens(view), 0)
    held: np.ndarray = can_wait & (np.cumsum(can_wait) > left)
    return held


def _decodes(view: Any) -> np.ndarray:
    """Which requests need nothing but the token after their last."""
    answer: np.ndarray = (view.output > 0) & (view.prompt + view.output - view.computed == 1)
    return answer


def _latest(view: Any) -> np.ndarray:
    """The last schedulable time of each request (s), were it a decode."""
    answer: np.ndarray = view.last + view.tpot - OFFSET * MEAN.see(view.now, view.last_step)
    return answer


def _prompt_tokens(view: Any) -> float:
    """Tokens that prompts can use in this step: those under way and those that will be admitted."""
    running = view.is_running > 0
    left = view.prompt + view.output - view.computed
    under_way = float(left[running & ~_decodes(view)].sum())
    new = (left - view.cached)[~running]
    blocks = np.cumsum(np.ceil(left[~running] / view.block_size))
    places = np.arange(1, len(new) + 1)
    admitted = (blocks <= view.free_blocks) & (places <= view.max_running - view.running)
    return under_way + float(new[admitted].sum())
