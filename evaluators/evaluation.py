"""What came of evaluating a heuristic on a set of instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluators.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one evaluation.

    `costs`: one per instance, in their order, empty unless the verdict is ok; `signature`: a hash of all decisions;
    `reports`: means over the instances of what the problem reports beside the cost, by name.
    """

    verdict: Verdict
    detail: str
    costs: tuple[float, ...]
    cpu_seconds: float
    signature: str
    reports: Mapping[str, float] = field(default_factory=dict)
