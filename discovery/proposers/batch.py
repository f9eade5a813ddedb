"""The proposer that asks by file: requests are written down, the run pauses, and answers come whenever they come."""

from __future__ import annotations

import json
from typing import NoReturn

import prompts.render
from discovery.budget import BudgetSpent
from discovery.operators import MODEL_WEIGHTS
from discovery.proposers.base import AnswersWanted, Ledger, Request
from discovery.proposers.completion import most_of
from discovery.proposers.keys import key_of
from discovery.proposers.settings import BatchProposer, Model


class Batch:
    """Reserves a call for every request and leaves it open."""

    weights = MODEL_WEIGHTS

    def __init__(self, settings: BatchProposer) -> None:
        """Nothing is opened.

        Raises:
            UsageError: the requests are to be submitted, and there is no key for it.
        """
        if settings.submit:
            key_of(settings.models[0])
        self.operators = self.prompted = prompts.render.operators()
        self.lessons_every = settings.lessons
        self.lookahead = settings.size
        self._model = settings.models[0]

    async def propose(self, request: Request, ledger: Ledger) -> NoReturn:
        """See that the request's call is reserved.

        Raises:
            AnswersWanted: always; the answer comes from outside.
            BudgetSpent: the budget has no room for the call, and no open one may make some.
        """
        try:
            if not ledger.waits(request.number):
                async with ledger.reserved(most_of(self._model, request.prompt)) as reservation:
                    ledger.leave(ledger.begin(reservation, request.number, self._model.model, idempotent=False))
        except BudgetSpent:
            if not ledger.waits():
                raise  # else: what is open may cost less than is held for it
        raise AnswersWanted("requests wait for answers")

    async def close(self) -> None:
        """Nothing to let go of."""


def request_line(key: str, model: Model, prompt: str) -> str:
    """A request in the format of OpenAI's Batch API; `key` comes back with its result."""
    body = model.body(prompt)
    return json.dumps({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"
