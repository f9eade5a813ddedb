"""Asking a proposer: requests are journalled before they are sent, answers as they come; none is asked for twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from discovery.budget import BudgetSpent
from discovery.candidate import Draft
from discovery.operators import REFLECT
from discovery.proposers.base import Answer, Proposer, ProposerError, Request
from discovery.proposers.base import Ledger as Calls


class Journal(Protocol):
    """Where requests and answers are found again after a kill."""

    def add_request(self, draft: Draft, request: Request) -> None:
        """Keep a request before it is sent."""

    def answer(self, number: int) -> Answer | None:
        """The answer already paid for."""


class Ledger(Calls, Protocol):
    """Where calls and answers are written down."""

    def answered(self, number: int, answer: Answer) -> None:
        """Keep an answer as it arrives, and settle its call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Gets the answer to a draft, once.

    A call in flight belongs to the asker: who stops waiting for an answer does not stop its call, and `drain` waits
    for those that are left.
    """

    proposer: Proposer
    journal: Journal
    ledger: Ledger
    seed: int
    _asked: set[asyncio.Task[Answer]] = field(default_factory=set)
    _failures: list[BaseException] = field(default_factory=list)

    async def __call__(self, draft: Draft, prompt: Callable[[], Awaitable[str]]) -> Answer:
        """The answer to a draft: the recorded one, else what the proposer says to the prompt made for it."""
        if (recorded := self.journal.answer(draft.number)) is not None:
            return recorded
        task = asyncio.ensure_future(self._ask(draft, prompt))
        self._asked.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait until every answer on its way has been written down; call it when no further call can begin.

        Raises:
            Exception: what kept an answer from being written down.
        """
        while self._asked:
            await asyncio.wait(self._asked)  # which leaves the calls alone when it is interrupted
        if self._failures:
            raise self._failures[0]

    def _ended(self, task: asyncio.Task[Answer]) -> None:
        """Note how a call ended; perhaps nobody waits for it any more."""
        self._asked.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, ProposerError | BudgetSpent):
            self._failures.append(failure)

    async def _ask(self, draft: Draft, prompt: Callable[[], Awaitable[str]]) -> Answer:
        text = await prompt() if draft.operator in (*self.proposer.prompted, REFLECT) else ""
        request = Request(draft.number, self.seed, draft.operator, draft.parents, text, draft.model)
        self.journal.add_request(draft, request)
        answer = await self.proposer.propose(request, self.ledger)
        self.ledger.answered(draft.number, answer)
        return answer
