"""Developing one draft: propose, then the cascade smoke → train, each step journalled before the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from discovery.candidate import Candidate, Draft
from discovery.proposers.base import Answer, Proposer, Request
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

    def answer(self, number: int) -> tuple[Answer, float] | None:
        """The answer already paid for, and its cost."""

    def add_answer(self, number: int, answer: Answer, cost: float) -> None:
        """Keep an answer as it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Developer:
    """Turns drafts into candidates.

    `duplicate_of(signature, before=number)` knows earlier behaviours; `bounds` are those of the train split;
    `prompt` renders a draft for a model; `price` tells what an answer cost.
    """

    proposer: Proposer
    evaluator: Evaluator
    journal: Journal
    duplicate_of: Callable[..., str | None]
    bounds: tuple[float, ...]
    prompt: Callable[[Draft], str]
    price: Callable[[Answer], float]
    seed: int
    lookahead: int

    async def __call__(self, draft: Draft) -> Candidate:
        """The judged candidate for a draft; recalled, not repeated, if the journal has it."""
        if (recalled := self.journal.recall(draft)) is not None:
            return recalled
        answer, cost = await self._answer(draft)
        if answer.source is None:
            return Candidate(draft, None, Verdict.no_code, "the answer held no Python code block", cost=cost)
        return await self._judge(draft, answer.source, cost)

    async def _answer(self, draft: Draft) -> tuple[Answer, float]:
        if (recorded := self.journal.answer(draft.number)) is not None:
            return recorded
        prompt = self.prompt(draft) if self.proposer.needs_prompt else ""
        request = Request(draft.number, self.seed, draft.operator, draft.parents, prompt)
        self.journal.add_request(draft, request)
        answer = await self.proposer.propose(request)
        cost = self.price(answer)
        self.journal.add_answer(draft.number, answer, cost)
        return answer, cost

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
