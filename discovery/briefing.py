"""What a model is told: the prompt of a draft, with where its parents lose and what was learnt before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from discovery.candidate import Draft
from discovery.proposers.base import Parent
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict
from evaluators.weakness import Loss, ahead, losses, worst_instance
from problems.base import Array, Instance, Problem


class Bounded(Protocol):
    """An instance with its bound, as the archive has it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it is reported under."""

    @property
    def bound(self) -> float:
        """Value of its bound."""


class Journal(Protocol):
    """Where evaluations are found."""

    def evaluation(self, heuristic: str, split: str) -> Evaluation | None:
        """A recorded evaluation."""

    def instances(self, split: str) -> Sequence[Bounded]:
        """The instances of a split with their bounds, in order."""


@dataclass(frozen=True, slots=True)
class Told:
    """A class in which a heuristic loses, as prompts say it; see `evaluators.weakness.Loss`."""

    name: str
    meaning: str
    gap: float
    rival_gap: float | None


@dataclass(frozen=True, slots=True)
class Weakness:
    """Where a heuristic loses on the train split: classes, and its costliest instance in words."""

    losses: tuple[Told, ...]
    worst: str


class Briefing:
    """Writes prompts. Of measurements it uses those on the train split only."""

    def __init__(
        self,
        problem: Problem,
        journal: Journal,
        *,
        seed: int,
        edits: str = "whole",
        thoughts: bool = True,
        weakness: bool = True,
        reflection: bool = True,
    ) -> None:
        """What is told, and how answers shall look: see `proposers.settings.ModelProposer`."""
        self._problem = problem
        self._journal = journal
        self._seed = seed
        self._style: dict[str, Any] = {"edits": edits, "thoughts": thoughts, "reflection": reflection}
        self._explained = {"mutate": weakness, "crossover": reflection}
        self._weakness: Callable[[str], Weakness | None] = lru_cache(maxsize=256)(self._weakness_of)

    def __call__(self, draft: Draft, lessons: str) -> str:
        """The prompt of a draft."""
        told: dict[str, Any] = {}
        if self._explained.get(draft.operator) and draft.parents:
            first, *others = draft.parents
            if others:
                told["duel"] = self._duel(first, others[0])
            elif weakness := self._weakness(first.label):
                told["weakness"] = weakness
        import prompts.render  # jinja2: only for proposers that want a prompt

        seed = f"{self._seed}:{draft.number}"
        return prompts.render.render(
            draft.operator, self._facts, draft.parents, seed, lessons=lessons, **self._style, **told
        )

    def reflection(self, attempts: Sequence[str], lessons: str) -> str:
        """The prompt for a lesson."""
        import prompts.render

        return prompts.render.render_reflection(self._facts, attempts, lessons)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        entry = self._problem.entry
        return {
            "brief": self._problem.brief,
            "signature": entry.signature,
            "arguments": entry.arguments,
            "returns": entry.returns,
            "companions": entry.companions,
            "remembers": entry.driver == "interactive",  # each instance has its own process
            "hints": self._problem.hints,
        }

    @cached_property
    def _train(self) -> Sequence[Instance]:
        return self._problem.split("train")

    @cached_property
    def _bounds(self) -> list[float]:
        return [instance.bound for instance in self._journal.instances("train")]

    @cached_property
    def _classes(self) -> list[tuple[str, ...]]:
        return [instance.classes for instance in self._journal.instances("train")]

    @cached_property
    def _rival_costs(self) -> tuple[float, ...] | None:
        return self._costs(self._problem.best_baseline) if self._problem.best_baseline else None

    def _costs(self, label: str) -> tuple[float, ...] | None:
        """What a heuristic costs on each train instance, if it was measured there."""
        found = self._journal.evaluation(label, "train")
        return found.costs if found is not None and found.verdict is Verdict.ok else None

    def _weakness_of(self, label: str) -> Weakness | None:
        costs = self._costs(label)
        if costs is None:
            return None
        rival = None if label == self._problem.best_baseline else self._rival_costs
        classes = tuple(self._told(loss) for loss in losses(costs, rival, self._bounds, self._classes))
        worst = worst_instance(costs, self._bounds)
        return Weakness(classes, "" if worst is None else self._described(worst, costs[worst]))

    def _told(self, loss: Loss) -> Told:
        return Told(loss.name, self._meaning(loss.name), loss.gap, loss.rival_gap)

    def _meaning(self, name: str) -> str:
        return self._problem.class_meanings.get(name, "")

    def _described(self, position: int, cost: float) -> str:
        """A train instance in words: how its values are spread, and what the heuristic makes of it."""
        instance = self._train[position]
        names = self._problem.instance_fields or [value.name for value in self._problem.entry.inputs]
        values = [_spread(name, instance.arrays[name]) for name in names if name in instance.arrays]
        return "; ".join([*values, f"cost {cost:g}, bound {self._bounds[position]:g}"])

    def _duel(self, first: Parent, second: Parent) -> str:
        """Who of two parents is ahead in which classes of the train split; empty if that is not known."""
        ours, theirs = self._costs(first.label), self._costs(second.label)
        if ours is None or theirs is None:
            return ""
        sides = (("first", ahead(ours, theirs, self._bounds, self._classes)),
                 ("second", ahead(theirs, ours, self._bounds, self._classes)))  # fmt: skip
        return "\n".join(
            f"The {name} is ahead on: {', '.join(map(self._margin, margins))}." for name, margins in sides if margins
        )

    def _margin(self, margin: Loss) -> str:
        meaning = self._meaning(margin.name)
        called = f"{margin.name} ({meaning})" if meaning else margin.name
        return f"{called}, gap {margin.gap:.2f} % against {margin.rival_gap:.2f} %"


def _spread(name: str, array: Array) -> str:
    if array.ndim == 0 or not array.size:
        return f"{name} {array.item():g}" if array.ndim == 0 else f"{name}: none"
    return f"{name}: {array.size} values from {np.min(array):g} to {np.max(array):g}, mean {np.mean(array):.4g}"
