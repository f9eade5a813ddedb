"""Quality-diversity: a grid of cells beside the islands, each of which keeps the best heuristic of its kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from discovery.normal_form import Form
from discovery.proposers.base import Parent

Cell = tuple[int, str]
"""How large the code is, in binary digits of its size, and the class of instances that the heuristic is best at."""
WHOLE = "all"
"""The only class of a problem that has none."""


@dataclass(frozen=True, slots=True)
class Strengths:
    """Tells from a heuristic's costs on train what it is good at: the class in which it is furthest ahead.

    `members`: positions of the instances of each class; `least`: the smallest excess (Σcost − Σbound) of any baseline
    there, above zero.
    """

    members: Mapping[str, tuple[int, ...]]
    bounds: Mapping[str, float]
    least: Mapping[str, float]

    @classmethod
    def over(
        cls, baselines: Sequence[Sequence[float]], bounds: Sequence[float], classes: Sequence[Sequence[str]]
    ) -> Strengths:
        """Strengths against the best of the baselines in each class; `baselines` holds their costs, by instance."""
        members: dict[str, list[int]] = {}
        for position, names in enumerate(classes):
            for name in names:
                members.setdefault(name, []).append(position)
        total = {name: sum(bounds[i] for i in places) for name, places in members.items()}
        least = {
            name: min((sum(costs[i] for i in places) - total[name] for costs in baselines), default=0.0)
            for name, places in members.items()
        }
        open_ = [name for name, excess in least.items() if excess > 0]  # in others there is nothing to be ahead in
        return cls(
            {name: tuple(members[name]) for name in open_},
            {name: total[name] for name in open_},
            {name: least[name] for name in open_},
        )

    def __call__(self, costs: Sequence[float]) -> str:
        """The class whose excess is the smallest share of the best baseline's there; the first of equals."""
        best, strongest = float("inf"), WHOLE
        for name, places in self.members.items():
            share = (sum([costs[place] for place in places]) - self.bounds[name]) / self.least[name]
            if share < best:
                best, strongest = share, name
        return strongest


def fitness(member: Parent) -> tuple[float, int, str]:
    """What parents are sorted by, best first: of two equally good ones the shorter."""
    return member.score, len(member.source), member.label


class Cells:
    """The grid (Mouret and Clune, 2015, MAP-Elites): of all heuristics of one cell the best is kept."""

    def __init__(self, strengths: Strengths, form: Callable[[str], Form | None]) -> None:
        """An empty grid. `form`: the normal form of a source, by which its size is told."""
        self._strengths = strengths
        self._form = form
        self._elites: dict[Cell, Parent] = {}

    def __len__(self) -> int:
        return len(self._elites)

    @property
    def elites(self) -> Mapping[Cell, Parent]:
        """The best of each cell that is taken."""
        return self._elites

    def add(self, newcomer: Parent, costs: Sequence[float]) -> bool:
        """Put a heuristic into its cell; whether it is now the best there. `costs`: by instance of train."""
        form = self._form(newcomer.source)
        size = form.size if form else len(newcomer.source)
        cell = (size.bit_length(), self._strengths(costs))
        holder = self._elites.get(cell)
        if holder is not None and fitness(holder) <= fitness(newcomer):
            return False
        self._elites[cell] = newcomer
        return True

    def draw(self, rng: random.Random, without: Sequence[Parent]) -> Parent | None:
        """The best of a cell drawn evenly among those whose best is not one of `without`; None if there is no such."""
        names = {parent.name for parent in without}
        others = [elite for elite in self._elites.values() if elite.name not in names]
        return rng.choice(others) if others else None
