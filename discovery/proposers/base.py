"""The seam between the loop and whatever writes new heuristics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class ProposerError(RuntimeError):
    """A proposer cannot go on (endpoint gone, key refused); nothing is lost, the run can be resumed."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A heuristic shown to a proposer. `score`: train ratio gap in percent, lower is better."""

    source: str
    score: float
    label: str


@dataclass(frozen=True, slots=True)
class Request:
    """What the loop asks for. Randomness derives from (seed, number) only; parents come best first.

    `prompt` is the rendered text for a model; empty for a proposer that needs none.
    """

    number: int
    seed: int
    operator: str
    parents: tuple[Parent, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, verbatim, and the heuristic in it; `source` is None if there was no code block."""

    text: str
    source: str | None
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


class Proposer(Protocol):
    """Gives new source for a request."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators it knows."""

    @property
    def needs_prompt(self) -> bool:
        """Whether requests must carry a rendered prompt."""

    async def propose(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            ProposerError: no answer can be had.
        """

    async def close(self) -> None:
        """Let go of connections."""
