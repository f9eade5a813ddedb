"""What winners are worth on an engine, beside what the simulator says of the same requests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineScore:
    """One heuristic in a replay.

    place: its rank by `measured`, from 1. measured, simulated: the cost on the engine and in the simulator, None where
    the requests were never all served. failure: why. detail: all figures, of each round too.
    """

    heuristic: str
    place: int
    measured: float | None
    simulated: float | None
    failure: str
    detail: dict[str, Any]

    @property
    def error(self) -> float | None:
        """Simulated over measured, less 1."""
        return None if not self.measured or self.simulated is None else self.simulated / self.measured - 1

    def as_json(self) -> dict[str, Any]:
        """The score without its details."""
        facts = {name: value for name, value in asdict(self).items() if name != "detail"}
        return {**facts, "error": self.error}


@dataclass(frozen=True, slots=True)
class EngineReplay:
    """Winners and baselines that served the same requests on one engine, by turns; best first.

    wanted: what it was made for, as text that is equal for equal settings and heuristics. conditions: what a result
    must not be read without; `cost` and `title` are for people.
    """

    engine: str
    wanted: str
    conditions: dict[str, Any]
    scores: tuple[EngineScore, ...]

    def score(self, heuristic: str) -> EngineScore | None:
        """The score of a heuristic that took part."""
        return next((score for score in self.scores if score.heuristic == heuristic), None)
