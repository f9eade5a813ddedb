"""Lessons: what worked and what did not, drawn by a call of its own every so many candidates, for later prompts.

The long-term reflection of ReEvo (Ye et al., 2024, section 4). Lesson i is drawn from the candidates before i · every;
it is a request numbered −i in the archive, so that it is journalled, paid for, resumed and answered by file as any
other.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from discovery.asking import Asker
from discovery.candidate import Candidate, Draft
from discovery.operators import REFLECT
from discovery.proposers.base import Answer
from evaluators.verdict import Verdict, harmless

ATTEMPTS = 20
"""Attempts a lesson is drawn from: the last so many that a model was asked for."""
LINES, LENGTH = 5, 200
"""What is kept of a lesson: so many lines of so many characters."""
WHY = 100
"""Characters told of why an attempt failed."""
ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+(\S.*)$")


class Lessons:
    """Draws lessons while the search goes on.

    Lesson i is asked for with the first draft for which all its candidates are known, and is in force from `lookahead`
    drafts later, which wait for it: so nothing depends on how long the call takes.
    """

    def __init__(self, ask: Asker, prompt: Callable[[Sequence[str], str], str], *, every: int, lookahead: int) -> None:
        """`prompt(attempts, lessons so far)` is what a model is asked with; `every` 0: no lesson is drawn."""
        self._ask = ask
        self._prompt = prompt
        self._every = every
        self._lookahead = lookahead
        self._attempts: defaultdict[int, deque[str]] = defaultdict(lambda: deque(maxlen=ATTEMPTS))
        self._drawn: dict[int, asyncio.Future[str]] = {}

    def note(self, candidate: Candidate) -> None:
        """Take note of a committed candidate."""
        if self._every and candidate.thought:
            self._attempts[candidate.draft.number // self._every].append(attempt(candidate))

    async def before(self, number: int) -> str:
        """The lessons in force when draft `number` is asked for, one a line; empty before the first.

        Raises:
            ProposerError: they cannot be had.
            BudgetSpent: the budget has no room for the call.
        """
        if not self._every:
            return ""
        known = number + 1 - self._lookahead  # candidates that are committed whenever this draft is asked for
        in_force = max((known - self._lookahead) // self._every, 0)
        for index in range(max(in_force, 1), known // self._every + 1):
            if index not in self._drawn:
                self._drawn[index] = drawn = asyncio.ensure_future(self._draw(index))
                drawn.add_done_callback(_heard)
        return await asyncio.shield(self._drawn[in_force]) if in_force else ""

    async def _draw(self, index: int) -> str:
        async def prompt() -> str:
            return self._prompt(list(self._attempts[index - 1]), await self._former(index - 1))

        return lesson_in((await self._ask(Draft(-index, 0, REFLECT, ()), prompt)).text)

    async def _former(self, index: int) -> str:
        if index in self._drawn:
            return await asyncio.shield(self._drawn[index])
        recorded: Answer | None = self._ask.journal.answer(-index) if index else None
        return lesson_in(recorded.text) if recorded else ""


def attempt(candidate: Candidate) -> str:
    """One line on what was tried and what came of it."""
    start = ", ".join(f"{parent.score:.3f}" for parent in candidate.draft.parents if not parent.fault)
    came = f"{candidate.score:.3f}" if candidate.score is not None else _fault(candidate)
    return f"{candidate.draft.operator}{f' from {start}' if start else ''}: {came}. {candidate.thought}"


def _fault(candidate: Candidate) -> str:
    """The verdict and, where it is about more than likeness, why."""
    why = "" if candidate.verdict is Verdict.duplicate else harmless(candidate.detail, WHY)
    return f"{candidate.verdict.value} ({why})" if why else candidate.verdict.value


def lesson_in(text: str) -> str:
    """The listed lines of an answer, without what could end a quotation; its first line where it lists none."""
    lines = [line for line in text.splitlines() if line.strip()]
    listed = [match[1] for line in lines if (match := ITEM.match(line))] or lines[:1]
    return "\n".join(f"- {harmless(line, LENGTH)}" for line in listed[:LINES])


def _heard(drawn: asyncio.Future[str]) -> None:
    """A lesson that failed is news only for the drafts that wait for it."""
    if not drawn.cancelled():
        drawn.exception()
