"""What came of evaluating a heuristic on a set of instances."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one evaluation.

    `costs`: one per instance, in their order, empty unless the verdict is ok; `signature`: a hash of all decisions.
    """

    verdict: Verdict
    detail: str
    costs: tuple[float, ...]
    cpu_seconds: float
    signature: str
