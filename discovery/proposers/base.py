"""The seam between the loop and whatever writes new heuristics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

TUNER = "tuner"
"""What answers of the numeric tuner say in place of a model's name."""


class ProposerError(RuntimeError):
    """A proposer cannot go on (endpoint gone, key refused); nothing is lost, the run can be resumed."""


class AnswersWanted(ProposerError):
    """Requests wait for answers that come from outside; the run pauses until they are there."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A heuristic shown to a proposer. `score`: train ratio gap in percent, lower is better.

    `thought`: the idea its author stated. `family`: the label of the heuristic that it was tuned from; empty if it was
    not tuned. One that failed, and is to be repaired, has a `fault`, its verdict and why, and an infinite score.
    """

    source: str
    score: float
    label: str
    thought: str = ""
    family: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """What it is known by, whatever tuning has made of its numbers."""
        return self.family or self.label


@dataclass(frozen=True, slots=True)
class Request:
    """What the loop asks for. Randomness derives from (seed, number) only; parents come best first.

    `prompt` is the rendered text for a model; empty for a proposer that needs none. `model`: the one to ask first; by
    weight if it is empty.
    """

    number: int
    seed: int
    operator: str
    parents: tuple[Parent, ...]
    prompt: str
    model: str = ""

    @property
    def base(self) -> str | None:
        """The file that edits in an answer change: the first parent's."""
        return self.parents[0].source if self.parents else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, verbatim, and the heuristic in it; `source` is None if there was no code.

    `cost`: what it cost, in the currency of the config's prices; `call`: the call it settles, if it was paid for.
    """

    text: str
    source: str | None
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    call: Call | None = None

    @property
    def charge(self) -> Charge:
        """What is owed for it."""
        return Charge(self.input_tokens + self.output_tokens, self.cost)


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens, in and out, and money: of one call, or of many."""

    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: Charge) -> Charge:
        return Charge(self.tokens - other.tokens, self.cost - other.cost)


NOTHING = Charge()

Outcome = Literal["answered", "rejected", "unusable", "lost", "unreachable"]
"""How a call ended. `answered`: with an answer. `rejected`: the endpoint refused it, so it costs nothing. `unusable`:
it ended well, but with no answer. `lost`: it broke off, and the endpoint may have done the work. `unreachable`:
nothing was sent, so it does not even count as a call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was written down and is being made. `key` is its Idempotency-Key; `most`: what it may cost."""

    id: int
    number: int
    key: str
    most: Charge


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """Room in the budget for one call that may cost `most`; each is itself only."""

    most: Charge


class Ledger(Protocol):
    """Where calls are reserved before they are made, written down, and settled after."""

    def reserved(self, most: Charge) -> AbstractAsyncContextManager[Reservation]:
        """Room in the budget for one call while the context lasts; calls are served in the order they ask.

        Raises:
            BudgetSpent: there is no room, and no call in flight whose end could make some.
            ProposerError: the session is closing.
        """

    def begin(self, reservation: Reservation, number: int, model: str, *, idempotent: bool) -> Call:
        """Write a call for candidate `number` down, before it is made. `model`: which, and where.

        Raises:
            BudgetSpent: the time budget was used up meanwhile.
            ProposerError: the session is closing.
        """

    def settle(self, call: Call, outcome: Outcome, charge: Charge, detail: str, seconds: float) -> None:
        """Write down how a call ended that brought no answer; an answer settles its call when it is recorded."""

    def waits(self, number: int | None = None) -> bool:
        """Whether a call for candidate `number`, or for any, was begun, now or in an earlier session, and not ended."""

    def leave(self, call: Call) -> None:
        """The call goes on when this session is over; nobody waits for it here."""

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the time budget allows.

        Raises:
            BudgetSpent: the time budget is used up.
            ProposerError: the session is closing.
        """


class Proposer(Protocol):
    """Gives new source for a request."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators it knows."""

    @property
    def weights(self) -> Mapping[str, float]:
        """How often each should be drawn, relative to the others, unless the config says otherwise."""

    @property
    def prompted(self) -> Collection[str]:
        """The operators whose requests must carry a prompt."""

    @property
    def lookahead(self) -> int:
        """How many candidates should be under way at once, unless the config says otherwise."""

    @property
    def lessons_every(self) -> int:
        """After how many candidates each a lesson is to be drawn from them; 0 for never."""

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """Answer one request; what it costs goes through the ledger.

        Raises:
            ProposerError: no answer can be had.
            BudgetSpent: the budget has no room for it.
        """

    async def close(self) -> None:
        """Let go of connections."""
