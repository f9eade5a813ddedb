"""The search loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from discovery.budget import Budget, BudgetSpent
from discovery.candidate import Candidate, Draft
from discovery.population import Population

Develop = Callable[[Draft], Awaitable[Candidate]]


class Journal(Protocol):
    """Where finished candidates are kept."""

    def commit(self, candidate: Candidate) -> None:
        """Keep a candidate for good."""


async def search(
    population: Population,
    develop: Develop,
    journal: Journal,
    budget: Budget,
    *,
    lookahead: int,
    observers: Iterable[Callable[[Candidate], None]] = (),
) -> str:
    """Ask the population for drafts, develop up to `lookahead` at once, tell it the results in ask order.

    Draft i is asked for when exactly the candidates before i − lookahead + 1 are known, however long each takes:
    so a run does not depend on timing. Returns why the budget ended it.
    """
    pending: deque[asyncio.Future[Candidate]] = deque()
    number = 0
    try:
        while True:
            while len(pending) < lookahead and budget.permits(number):
                pending.append(asyncio.ensure_future(develop(population.ask(number))))
                number += 1
            if not pending:
                return budget.reason
            await asyncio.sleep(0)  # every draft is on its way before the next result is awaited
            try:
                candidate = population.tell(await pending.popleft())
            except BudgetSpent as spent:
                return str(spent)
            journal.commit(candidate)
            for observe in observers:
                observe(candidate)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)  # they were given up; how they end is of no interest
