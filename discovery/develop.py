"""Developing one draft: propose, then the cascade smoke → train, each step journalled before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from discovery.budget import BudgetSpent
from discovery.candidate import Candidate, Draft
from discovery.proposers.base import Answer, Proposer, ProposerError, Request
from discovery.proposers.base import Ledger as Calls
from discovery.proposers.completion import why_no_code
from evaluators.evaluation import Evaluation
from evaluators.gaps import aggregate
from evaluators.verdict import Verdict
from evaluators.workers import Evaluator


class Journal(Protocol):
    """What a developer writes down, and finds again after a kill."""

    def recall(self, draft: Draft) -> Candidate | None:
        """The committed candidate for this draft."""

    def add_request(self, draft: Draft, request: Request) -> None:
        """Keep a request before it is sent."""

    def answer(self, number: int) -> Answer | None:
        """The answer already paid for."""


class Ledger(Calls, Protocol):
    """Where calls and answers are written down."""

    def answered(self, number: int, answer: Answer) -> None:
        """Keep an answer as it arrives, and settle its call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Developer:
    """Turns drafts into candidates.

    `duplicate_of(signature, before=number)` knows earlier behaviours; `bounds` are those of the train split;
    `prompt` renders a draft for a model. A call in flight belongs to the developer: who stops waiting for a candidate
    does not stop its call, and `drain` waits for those that are left.
    """

    proposer: Proposer
    evaluator: Evaluator
    journal: Journal
    ledger: Ledger
    duplicate_of: Callable[..., str | None]
    bounds: tuple[float, ...]
    prompt: Callable[[Draft], str]
    seed: int
    lookahead: int
    _asked: set[asyncio.Task[Answer]] = field(default_factory=set)
    _failures: list[BaseException] = field(default_factory=list)

    async def __call__(self, draft: Draft) -> Candidate:
        """The judged candidate for a draft; recalled, not repeated, if the journal has it."""
        if (recalled := self.journal.recall(draft)) is not None:
            return recalled
        answer = await self._answer(draft)
        if answer.source is None:
            return Candidate(draft, None, Verdict.no_code, why_no_code(answer.text), cost=answer.cost)
        return await self._judge(draft, answer.source, answer.cost)

    async def drain(self) -> None:
        """Wait until every answer on its way has been written down; call it when no further call can begin.

        Raises:
            Exception: what kept an answer from being written down.
        """
        while self._asked:
            await asyncio.wait(self._asked)  # which leaves the calls alone when it is interrupted
        if self._failures:
            raise self._failures[0]

    async def _answer(self, draft: Draft) -> Answer:
        if (recorded := self.journal.answer(draft.number)) is not None:
            return recorded
        task = asyncio.ensure_future(self._ask(draft))
        self._asked.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Answer]) -> None:
        """Note how a call ended; perhaps nobody waits for it any more."""
        self._asked.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, ProposerError | BudgetSpent):
            self._failures.append(failure)

    async def _ask(self, draft: Draft) -> Answer:
        prompt = self.prompt(draft) if self.proposer.needs_prompt else ""
        request = Request(draft.number, self.seed, draft.operator, draft.parents, prompt)
        self.journal.add_request(draft, request)
        answer = await self.proposer.propose(request, self.ledger)
        self.ledger.answered(draft.number, answer)
        return answer

    async def _judge(self, draft: Draft, source: str, cost: float) -> Candidate:
        smoke = await self.evaluator.evaluate(source, "probe")
        if smoke.verdict is not Verdict.ok:
            return Candidate(draft, source, smoke.verdict, smoke.detail, cost=cost)
        # Only what was known when the draft was asked for may count: a run must not depend on timing.
        twin = self.duplicate_of(smoke.signature, before=draft.number - self.lookahead + 1)
        if twin is not None:
            reason = f"behaves like {twin}"
            return Candidate(draft, source, Verdict.duplicate, reason, None, smoke.signature, cost)
        train = await self.evaluator.evaluate(source, "train")
        score = train_score(train, self.bounds)
        evaluations = {"train": train}
        return Candidate(draft, source, train.verdict, train.detail, score, smoke.signature, cost, evaluations)


def train_score(train: Evaluation, bounds: tuple[float, ...]) -> float | None:
    """The ratio gap in percent; the sum of costs where every bound is zero; None for a faulty candidate."""
    if train.verdict is not Verdict.ok:
        return None
    gap = aggregate(train.costs, bounds).ratio_gap_pct
    return sum(train.costs) if gap is None else gap
