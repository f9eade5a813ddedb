"""The population: islands of parents, their migration, the cells beside them, and what was already seen."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discovery.bandit import Adaptive
from discovery.candidate import Candidate, Draft
from discovery.cells import Cells, fitness
from discovery.operators import PARENTS, REPAIR
from discovery.proposers.base import Parent
from discovery.repairs import Repairs
from discovery.seen import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the population is laid out. Every `migration_every` candidates each island's best goes to the next.

    `cells`: how often a parent is drawn from the cells and not from the island, in [0, 1].
    """

    islands: int
    island_size: int
    tournament: int
    migration_every: int
    cells: float = 0.0


class Population:
    """Ask it for the next draft, tell it every judged candidate, in order of their numbers.

    Nothing but (seed, number) and the candidates told so far decides what it asks for, so a run can be repeated.
    """

    def __init__(
        self,
        seeds: Sequence[Parent],
        *,
        shape: Shape,
        weights: Mapping[str, float],
        seed: int,
        seen: Seen,
        cells: Cells | None = None,
        adaptive: Adaptive | None = None,
    ) -> None:
        """`seeds` start on every island; `seen` and `cells` know the baselines, and come to know every candidate.

        Without `cells` all parents come from the islands; without `adaptive` operators are drawn by `weights` for good.
        """
        self._shape = shape
        self._weights = dict(weights)
        self._repairs = Repairs(shape.islands)
        self._seed = seed
        self._islands = [sorted(seeds, key=fitness)[: shape.island_size] for _ in range(shape.islands)]
        self._cells = cells
        self._adaptive = adaptive
        self.seen = seen

    def ask(self, number: int) -> Draft:
        """The draft of candidate `number`: an operator, and parents by tournament on its island or from the cells."""
        rng = random.Random(f"{self._seed}:ask:{number}")
        island = number % self._shape.islands
        operator = self._operator(number, rng, island)
        if operator == REPAIR:
            return self._draft(number, REPAIR, [self._repairs.take(island)])
        members = self._islands[island]
        if len(members) < PARENTS[operator]:
            operator = "mutate" if members and "mutate" in self._weights else "create"
        wanted = PARENTS[operator]
        parents: list[Parent] = []
        while len(parents) < wanted:
            parents.append(self._from_cells(rng, parents) or self._from_island(members, rng, parents))
        return self._draft(number, operator, parents)

    def tell(self, candidate: Candidate) -> Candidate:
        """Take in a judged candidate; it comes back as a duplicate if an earlier one behaves the same."""
        candidate = self.seen.note(candidate)
        if self._adaptive:
            self._adaptive.learn(candidate, self._better(candidate))
        if candidate.score is not None and candidate.source is not None:
            thought, family = candidate.thought, candidate.family
            parent = Parent(candidate.source, candidate.score, candidate.label, thought, family)
            self._admit(candidate.draft.island, parent)
            if self._cells is not None and (train := candidate.evaluations.get("train")):
                self._cells.add(parent, train.costs)
        self._repairs.note(candidate)
        if (candidate.draft.number + 1) % self._shape.migration_every == 0:
            self._migrate()
        return candidate

    @property
    def learned(self) -> dict[str, Any]:
        """What the search has learnt, as a record: how the bandits' arms stand, and who holds which cell."""
        bandits = {"operators": self._adaptive.operators, "models": self._adaptive.models} if self._adaptive else {}
        shares = {name: bandit.shares() for name, bandit in bandits.items() if bandit}
        return {
            **{name: {arm: asdict(share) for arm, share in arms.items()} for name, arms in shares.items()},
            "cells": [
                {"size": size, "strongest": strongest, "label": elite.label, "gap": elite.score}
                for (size, strongest), elite in (self._cells.elites.items() if self._cells else ())
            ],
        }

    def _draft(self, number: int, operator: str, parents: Sequence[Parent]) -> Draft:
        island = number % self._shape.islands
        model = self._adaptive.model(number) if self._adaptive else ""
        return Draft(number, island, operator, tuple(sorted(parents, key=fitness)), model)

    def _operator(self, number: int, rng: random.Random, island: int) -> str:
        """One of those that can be drawn: a repair needs a failure that waits for it."""
        waits = self._repairs.wait(island)
        weights = {name: weight for name, weight in self._weights.items() if waits or name != REPAIR}
        if not weights:
            return "create"
        if self._adaptive:
            return self._adaptive.operators.draw(number, weights)
        return rng.choices(list(weights), weights=list(weights.values()))[0]

    def _from_cells(self, rng: random.Random, without: Sequence[Parent]) -> Parent | None:
        """Now and then a parent from the cells."""
        if self._cells is None or rng.random() >= self._shape.cells:
            return None
        return self._cells.draw(rng, without)

    def _from_island(self, members: Sequence[Parent], rng: random.Random, without: Sequence[Parent]) -> Parent:
        names = {parent.name for parent in without}
        rivals = [member for member in members if member.name not in names]
        return min(rng.sample(rivals, min(self._shape.tournament, len(rivals))), key=fitness)

    def _better(self, candidate: Candidate) -> int:
        """How many of its island are at least as good."""
        score, members = candidate.score, self._islands[candidate.draft.island]
        return len(members) if score is None else sum(member.score <= score for member in members)

    def _admit(self, island: int, newcomer: Parent) -> None:
        """Elitism: an island keeps its best, and of those tuned from one another only the best; else the shorter."""
        members = self._islands[island]
        related = [member for member in members if member.name == newcomer.name]
        if all(fitness(newcomer) < fitness(member) for member in related):
            members[:] = [member for member in members if member not in related]
            members.append(newcomer)
            members.sort(key=fitness)
            del members[self._shape.island_size :]

    def _migrate(self) -> None:
        best = [members[0] for members in self._islands if members]
        for island, newcomer in enumerate(best):
            self._admit((island + 1) % self._shape.islands, newcomer)
