"""Tuning without a model: the numbers of a parent are changed, and the evaluator says whether that is better."""

from __future__ import annotations

import random

from discovery.operators import TUNE
from discovery.proposers.base import TUNER, Answer, Ledger, Proposer, Request
from discovery.proposers.constants import perturbed


class WithTuning:
    """A proposer that asks models, and tunes by itself.

    Each `tune` is one step of a random search around its parent (log-normal steps of several widths); what is better
    takes its parent's place in the population and is where the next step starts. It costs an evaluation and no call.
    """

    def __init__(self, asked: Proposer) -> None:
        """`asked` answers all other operators."""
        self._asked = asked
        self.operators = (*asked.operators, TUNE)
        self.prompted = asked.prompted
        self.weights = asked.weights
        self.lookahead = asked.lookahead
        self.lessons_every = asked.lessons_every

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """The parent with other numbers, or what the models answer.

        Raises:
            ProposerError: no answer can be had.
            BudgetSpent: the budget has no room for it.
        """
        if request.operator != TUNE:
            return await self._asked.propose(request, ledger)
        parent = request.parents[0].source
        rng = random.Random(f"{request.seed}:tune:{request.number}")
        source = perturbed(parent, rng) or parent  # which is a duplicate, and costs next to nothing
        return Answer(source, source, TUNER)

    async def close(self) -> None:
        """Let go of connections."""
        await self._asked.close()
