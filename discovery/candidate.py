"""Candidates: a heuristic plus where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from discovery.proposers.base import TUNER, Parent
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Draft:
    """What the population wants next: the ask number, the island, the operator and its parents.

    `model`: the one to ask first; by weight if it is empty.
    """

    number: int
    island: int
    operator: str
    parents: tuple[Parent, ...]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft that was proposed and judged.

    `score` is the train ratio gap in percent (lower is better), None unless the verdict is ok; `signature`
    identifies its behaviour on the probe instances, empty if it had none; `evaluations` holds what was
    measured, by split, and `cost` what the answer cost, in the currency of the config. `thought` is the idea its
    author stated, `model` who that was, `tokens` how many the answer took, in and out.
    """

    draft: Draft
    source: str | None
    verdict: Verdict
    detail: str = ""
    score: float | None = None
    signature: str = ""
    cost: float = 0.0
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    thought: str = ""
    model: str = ""
    tokens: int = 0

    @property
    def label(self) -> str:
        """How the candidate is called within its run."""
        return str(self.draft.number)

    @property
    def family(self) -> str:
        """The label of the heuristic this is, but for its numbers: its own, unless the tuner made it."""
        if self.model != TUNER:
            return self.label
        parent = self.draft.parents[0]
        return parent.family or parent.label
