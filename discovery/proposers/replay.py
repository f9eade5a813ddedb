"""The proposer that answers from the archive of a recorded run, and the evaluator that repeats its measurements."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from discovery.archive import Archive
from discovery.budget import BudgetSpent
from discovery.errors import UsageError
from discovery.leaderboard import SPLITS
from discovery.operators import PARENTS, WEIGHTS
from discovery.proposers.base import Answer, Ledger, ProposerError, Request
from discovery.proposers.genetic import Genetic
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

PROMPTED = "SELECT DISTINCT operator FROM request WHERE prompt != '' AND number >= 0"


class Replay:
    """Gives each request the prompt and the answer of the same request in the recorded run; costs nothing."""

    lessons_every = 0  # they are in the prompts

    def __init__(self, folder: Path) -> None:
        """Open the archive of a recorded run.

        Raises:
            UsageError: there is none.
        """
        self._archive = Archive(folder, "read")
        search = self._archive.config["search"]
        self.lookahead = int(search["lookahead"])
        self.prompted = [row["operator"] for row in self._archive.query(PROMPTED)]
        self.operators = tuple(PARENTS) if self.prompted else Genetic.operators
        self.weights: Mapping[str, float] = search.get("operators") or WEIGHTS

    def prompt(self, number: int) -> str:
        """What a model was asked with in the recorded run."""
        return self._archive.prompt(number)

    async def propose(self, request: Request, ledger: Ledger) -> Answer:
        """The recorded answer.

        Raises:
            BudgetSpent: the recording has ended.
            ProposerError: the recorded run asked for something else.
        """
        recorded = self._archive.asked(request.number)
        answer = self._archive.answer(request.number)
        if recorded is None or answer is None or request.number >= self._archive.committed():
            raise BudgetSpent(f"the recording {self._archive.folder} ends after {request.number} candidates")
        asked = (request.operator, [parent.label for parent in request.parents])
        if asked != recorded:
            raise ProposerError(
                f"request {request.number} is {_said(*asked)}, but the recording {self._archive.folder} has"
                f" {_said(*recorded)}: replay it with the config and the version that made it"
            )
        return answer

    async def close(self) -> None:
        """Close the archive."""
        self._archive.close()


class Recorded:
    """Repeats the evaluations of a recorded run; use in place of workers, as an async context manager.

    A source is known by its text. Where several candidates share one, each gets its own, in their order.
    """

    def __init__(self, folder: Path, replayed: Archive) -> None:
        """Read the recording in `folder`; `replayed` is the run that repeats it, and may have begun to.

        Raises:
            UsageError: there is none, or it was made with other instances or bounds.
        """
        self._folder = folder
        self._replayed = replayed
        self._known: dict[tuple[str, str], deque[Evaluation]] = defaultdict(deque)
        with Archive(folder, "read") as archive:
            for split in SPLITS:
                if archive.instances(split) != replayed.instances(split):
                    raise UsageError(
                        f"the {split} split is not the one the recording {folder} was made with: the problem has"
                        ' changed; set proposer.measurements = "again"'
                    )
            self.tier = " and ".join(archive.isolation())
            for row in archive.query("SELECT name AS heuristic, source FROM baseline"):
                self._learn(archive, row["source"], row["heuristic"], None)
            for row in archive.query(
                "SELECT CAST(number AS TEXT) AS heuristic, source, verdict, detail, signature FROM answer"
                " JOIN outcome USING (number) WHERE source IS NOT NULL ORDER BY number"
            ):
                self._learn(archive, row["source"], row["heuristic"], _smoke(row))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Nothing to end."""

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """The recorded evaluation.

        Raises:
            ProposerError: there is none.
        """
        found = self._known.get((source, split))
        if not found:
            raise ProposerError(
                f"the recording {self._folder} holds no evaluation on {split} of the heuristic that begins with"
                f' {source[:40]!r}; set proposer.measurements = "again"'
            )
        return found.popleft() if len(found) > 1 else found[0]

    def _learn(self, archive: Archive, source: str, heuristic: str, smoke: Evaluation | None) -> None:
        for split in ("probe", "train", "validation", "test"):
            evaluation = smoke if split == "probe" and smoke else archive.evaluation(heuristic, split)
            if evaluation is not None and self._replayed.evaluation(heuristic, split) is None:
                self._known[source, split].append(evaluation)


def _smoke(row: dict[str, Any]) -> Evaluation:
    """What the smoke stage must have seen for this outcome."""
    if row["signature"]:
        return Evaluation(Verdict.ok, "", (), 0.0, row["signature"])
    return Evaluation(Verdict(row["verdict"]), row["detail"], (), 0.0, "")


def _said(operator: str, parents: list[str]) -> str:
    return f"{operator} of {', '.join(parents)}" if parents else operator
