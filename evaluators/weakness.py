"""Where a heuristic loses: the classes and instances that hold most of its distance from the bounds.

Only ever made of the train split: what it says goes into prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CLASSES = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """A class of instances. All in percent: the heuristic's ratio gap there, a rival's, and how much of the
    heuristic's whole excess over the bounds lies there (classes overlap, so that shares need not add up).
    """

    name: str
    gap: float
    rival_gap: float | None
    share: float


def losses(
    costs: Sequence[float],
    rival_costs: Sequence[float] | None,
    bounds: Sequence[float],
    classes: Sequence[Sequence[str]],
) -> list[Loss]:
    """The classes that hold most of the excess over the bounds, at most three, largest share first.

    Shares are compared with the classes' shares of the instances: of two classes the one that loses more than its
    size explains comes first. Empty where nothing is lost, or there are no classes.
    """
    total = sum(costs) - sum(bounds)
    if total <= 0:
        return []
    found = []
    for name, members in _members(classes).items():
        bound = sum(bounds[i] for i in members)
        if bound <= 0 or len(members) == len(costs):
            continue
        excess = sum(costs[i] for i in members) - bound
        rival = 100 * (sum(rival_costs[i] for i in members) / bound - 1) if rival_costs else None
        loss = Loss(name, 100 * excess / bound, rival, 100 * excess / total)
        found.append((loss.share / 100 - len(members) / len(costs), loss))
    found.sort(key=lambda entry: -entry[0])
    return [loss for _, loss in found[:CLASSES]]


def ahead(
    costs: Sequence[float], rival_costs: Sequence[float], bounds: Sequence[float], classes: Sequence[Sequence[str]]
) -> list[Loss]:
    """The classes in which a heuristic has a smaller gap than its rival, at most three, the clearest first."""
    found = []
    for name, members in _members(classes).items():
        bound = sum(bounds[i] for i in members)
        ours, theirs = sum(costs[i] for i in members), sum(rival_costs[i] for i in members)
        if bound > 0 and ours < theirs:
            found.append(Loss(name, 100 * (ours / bound - 1), 100 * (theirs / bound - 1), 0.0))
    return sorted(found, key=lambda loss: loss.gap - (loss.rival_gap or 0.0))[:CLASSES]


def worst_instance(costs: Sequence[float], bounds: Sequence[float]) -> int | None:
    """The number of the instance that holds the most excess; None if none does."""
    excess = [cost - bound for cost, bound in zip(costs, bounds, strict=True)]
    worst = max(range(len(excess)), key=excess.__getitem__, default=None)
    return worst if worst is not None and excess[worst] > 0 else None


def _members(classes: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """The numbers of the instances of each class, in order of appearance."""
    members: dict[str, list[int]] = {}
    for index, names in enumerate(classes):
        for name in names:
            members.setdefault(name, []).append(index)
    return members
