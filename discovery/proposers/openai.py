"""The proposer that asks language models behind OpenAI-compatible endpoints."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import prompts.render
from discovery.operators import MODEL_WEIGHTS
from discovery.proposers.base import Answer, Ledger, ProposerError, Request
from discovery.proposers.cache import Cache
from discovery.proposers.endpoint import Endpoint, Fault, Refused
from discovery.proposers.settings import Model, OpenAIProposer

OUTAGE = 300.0
"""Seconds for which a model that did not answer is not asked again."""


class OpenAI:
    """Several models, drawn by weight for each request; one that fails for good is stood in for by the next drawn.

    Nothing but the request decides which model is asked first.
    """

    weights = MODEL_WEIGHTS

    def __init__(self, settings: OpenAIProposer, function: str) -> None:
        """Read the keys from their environment variables; `function` is what answers must define.

        Raises:
            UsageError: a variable is not set, and its endpoint is not on this machine.
        """
        self.operators = self.prompted = prompts.render.operators()
        self.lessons_every = settings.lessons
        self.lookahead = 2 * sum(model.concurrency for model in settings.models)  # or slots wait for the slowest call
        self._settings = settings
        self._endpoints = [Endpoint(model, function) for model in settings.models]
        self._cache = Cache(settings.cache, function) if settings.cache else None

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """Ask a model; passing faults are tried again with growing pauses, then another model is asked.

        Raises:
            ProposerError: every model refuses, or has a fault that does not pass.
            BudgetSpent: the budget has no room for another call.
        """
        models = [endpoint.model for endpoint in self._endpoints]
        order = drawn(models, f"{request.seed}:model:{request.number}")
        order.sort(key=lambda index: models[index].model != request.model)  # stable: the others by weight
        if self._cache and (known := self._cache.find(self._endpoints[order[0]].model, request)):
            return known
        failures: list[ProposerError] = []
        for endpoint in (self._endpoints[index] for index in order):
            try:
                answer = await self._persist(endpoint, request, ledger)
            except (Refused, NoAnswer) as error:
                failures.append(error)
                continue
            if self._cache:
                self._cache.keep(endpoint.model, request.prompt, answer)
            return answer
        raise ProposerError("; ".join(dict.fromkeys(str(failure) for failure in failures)))

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            await endpoint.close()
        if self._cache:
            self._cache.close()

    async def _persist(self, endpoint: Endpoint, request: Request, ledger: Ledger) -> Answer:
        """Ask one model until it answers, at most `attempts` times."""
        attempts = self._settings.attempts
        for attempt in range(attempts):
            try:
                return await endpoint.ask(request, ledger)
            except Fault as fault:
                last = fault
                endpoint.rest(attempt, self._settings.backoff, fault.wait)
            except Refused as refused:
                endpoint.give_up(math.inf, refused)
                raise
        times = f"{attempts} attempts" if attempts > 1 else "one attempt"
        failure = NoAnswer(
            f"no answer from {endpoint} after {times} ({endpoint.clean(str(last))}); see that the endpoint is up"
        )
        endpoint.give_up(OUTAGE, failure)
        raise failure


class NoAnswer(ProposerError):
    """A model did not answer, however often it was asked."""


def drawn(models: Sequence[Model], seed: str) -> list[int]:
    """The models' numbers in the order in which they are asked: each drawn by weight from those not drawn yet."""
    rng = random.Random(seed)
    # Sorting by u^(1/w) draws without replacement by weight (Efraimidis and Spirakis, 2006).
    return sorted(range(len(models)), key=lambda index: -(rng.random() ** (1 / models[index].weight)))
