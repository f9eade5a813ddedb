"""Developing one draft: propose, then the cascade smoke → train, each step journalled before the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from discovery.asking import Asker
from discovery.candidate import Candidate, Draft
from discovery.proposers.base import Answer
from discovery.proposers.completion import why_no_code
from discovery.proposers.thought import thought_in
from discovery.seen import Seen
from evaluators.evaluation import Evaluation
from evaluators.gaps import aggregate
from evaluators.verdict import Verdict
from evaluators.workers import Evaluator


class Journal(Protocol):
    """Where a developer finds what an earlier session did."""

    def recall(self, draft: Draft) -> Candidate | None:
        """The committed candidate for this draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Developer:
    """Turns drafts into candidates.

    `seen` knows the code and behaviour of earlier ones; `bounds` are those of the train split; `prompt` writes what a
    model is asked for a draft with, which may take waiting for a lesson.
    """

    ask: Asker
    evaluator: Evaluator
    journal: Journal
    seen: Seen
    bounds: tuple[float, ...]
    prompt: Callable[[Draft], Awaitable[str]]
    lookahead: int

    async def __call__(self, draft: Draft) -> Candidate:
        """The judged candidate for a draft; recalled, not repeated, if the journal has it."""
        if (recalled := self.journal.recall(draft)) is not None:
            return recalled
        answer = await self.ask(draft, lambda: self.prompt(draft))
        candidate = await self._judge(draft, answer)
        tokens = answer.input_tokens + answer.output_tokens
        return replace(candidate, cost=answer.cost, thought=thought_in(answer.text), model=answer.model, tokens=tokens)

    async def _judge(self, draft: Draft, answer: Answer) -> Candidate:
        source = answer.source
        if source is None:
            return Candidate(draft, None, Verdict.no_code, why_no_code(answer.text))
        known = draft.number - self.lookahead + 1  # when the draft was asked for: a run must not depend on timing
        if (alike := self.seen.same_code(source, before=known)) is not None:
            return Candidate(draft, source, *alike.again)
        smoke = await self.evaluator.evaluate(source, "probe")
        if smoke.verdict is not Verdict.ok:
            return Candidate(draft, source, smoke.verdict, smoke.detail)
        twin = self.seen.duplicate_of(smoke.signature, before=known)
        if twin is not None:
            return Candidate(draft, source, Verdict.duplicate, f"behaves like {twin}", signature=smoke.signature)
        train = await self.evaluator.evaluate(source, "train")
        score = train_score(train, self.bounds)
        evaluations = {"train": train}
        return Candidate(draft, source, train.verdict, train.detail, score, smoke.signature, evaluations=evaluations)


def train_score(train: Evaluation, bounds: tuple[float, ...]) -> float | None:
    """The ratio gap in percent; the sum of costs where every bound is zero; None for a faulty candidate."""
    if train.verdict is not Verdict.ok:
        return None
    gap = aggregate(train.costs, bounds).ratio_gap_pct
    return sum(train.costs) if gap is None else gap
