"""The population: islands of parents, their migration, and the behaviours already seen."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from discovery.candidate import Candidate, Draft
from discovery.operators import PARENTS
from discovery.proposers.base import Parent
from evaluators.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the population is laid out. Every `migration_every` candidates each island's best goes to the next."""

    islands: int
    island_size: int
    tournament: int
    migration_every: int


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
        known: Mapping[str, str],
    ) -> None:
        """`seeds` start on every island; `known` maps behaviour signatures to the baselines that show them."""
        self._shape = shape
        self._weights = weights
        self._seed = seed
        self._islands = [sorted(seeds, key=_fitness)[: shape.island_size] for _ in range(shape.islands)]
        self._seen: dict[str, tuple[int, str]] = {signature: (-1, name) for signature, name in known.items()}

    def ask(self, number: int) -> Draft:
        """The draft of candidate `number`: operator by weight, parents by tournament on its island."""
        rng = random.Random(f"{self._seed}:ask:{number}")
        island = number % self._shape.islands
        members = self._islands[island]
        operator = rng.choices(list(self._weights), weights=list(self._weights.values()))[0]
        wanted = min(PARENTS[operator], len(members))
        if wanted < PARENTS[operator]:
            operator, wanted = "create", 0
        parents: list[Parent] = []
        while len(parents) < wanted:
            rivals = [member for member in members if member not in parents]
            parents.append(min(rng.sample(rivals, min(self._shape.tournament, len(rivals))), key=_fitness))
        return Draft(number, island, operator, tuple(sorted(parents, key=_fitness)))

    def duplicate_of(self, signature: str, *, before: int) -> str | None:
        """Who showed this behaviour first, if it was a baseline or a candidate numbered below `before`."""
        number, label = self._seen.get(signature, (before, ""))
        return label if number < before else None

    def tell(self, candidate: Candidate) -> Candidate:
        """Take in a judged candidate; it comes back as a duplicate if an earlier one behaves the same."""
        number = candidate.draft.number
        if candidate.signature:
            if (twin := self.duplicate_of(candidate.signature, before=number)) is not None:
                candidate = replace(candidate, verdict=Verdict.duplicate, score=None, detail=f"behaves like {twin}")
            else:
                self._seen[candidate.signature] = (number, candidate.label)
        if candidate.score is not None and candidate.source is not None:
            parent = Parent(candidate.source, candidate.score, candidate.label)
            self._admit(candidate.draft.island, parent)
        if (number + 1) % self._shape.migration_every == 0:
            self._migrate()
        return candidate

    def _admit(self, island: int, newcomer: Parent) -> None:
        """Elitism: an island keeps its best; of two equally good ones the shorter."""
        members = self._islands[island]
        if all(member.label != newcomer.label for member in members):
            members.append(newcomer)
            members.sort(key=_fitness)
            del members[self._shape.island_size :]

    def _migrate(self) -> None:
        best = [members[0] for members in self._islands if members]
        for island, newcomer in enumerate(best):
            self._admit((island + 1) % self._shape.islands, newcomer)


def _fitness(member: Parent) -> tuple[float, int, str]:
    return member.score, len(member.source), member.label
