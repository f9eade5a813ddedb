"""From an evaluation to the figures that are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from evaluators.evaluation import Evaluation
from evaluators.gaps import Gaps, aggregate, by_class
from evaluators.verdict import Verdict


class Bounded(Protocol):
    """An instance with its bound, as far as scoring goes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it is reported under."""

    @property
    def bound(self) -> float:
        """Value of its bound."""

    @property
    def kind(self) -> str:
        """Kind of its bound."""


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one heuristic on one set of instances; `gaps` is None unless the verdict is ok."""

    verdict: Verdict
    detail: str
    instances: int
    gaps: Gaps | None
    classes: dict[str, Gaps]
    cpu_ms_per_instance: float | None
    bound_kinds: dict[str, int]
    reports: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A flat record; the keys of `Gaps` are there in every case."""
        gaps = asdict(self.gaps) if self.gaps else dict.fromkeys(Gaps.__dataclass_fields__)
        return {
            "verdict": self.verdict.value,
            **({"detail": self.detail} if self.detail else {}),
            **gaps,
            "instances": self.instances,
            "cpu_ms_per_instance": self.cpu_ms_per_instance,
            "bound_kinds": self.bound_kinds,
            **({"reports": dict(self.reports)} if self.reports else {}),
            "classes": {name: asdict(gaps) for name, gaps in self.classes.items()},
        }


def score(evaluation: Evaluation, instances: Sequence[Bounded]) -> Score:
    """Aggregate an evaluation over the instances it was made on, in their order."""
    bounds = [instance.bound for instance in instances]
    ok = evaluation.verdict is Verdict.ok
    return Score(
        verdict=evaluation.verdict,
        detail=evaluation.detail,
        instances=len(instances),
        gaps=aggregate(evaluation.costs, bounds) if ok else None,
        classes=by_class(evaluation.costs, bounds, [i.classes for i in instances]) if ok else {},
        cpu_ms_per_instance=1000 * evaluation.cpu_seconds / len(instances) if ok else None,
        bound_kinds=dict(Counter(instance.kind for instance in instances)),
        reports=evaluation.reports,
    )
