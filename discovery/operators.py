"""The operators of the search: how many parents each is given, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PARENTS: Mapping[str, int] = {"create": 0, "mutate": 1, "crossover": 2, "tune": 1, "simplify": 1, "repair": 1}
"""Parents each operator is given; that of a repair is a candidate that failed."""

REPAIR = "repair"
"""The operator that is drawn only while a failure waits to be repaired."""
TUNE = "tune"
"""The operator that changes nothing but numbers."""
REFLECT = "reflect"
"""What a request for a lesson is called; it makes no candidate, so no population draws it."""

WEIGHTS: Mapping[str, float] = {
    "create": 0.1,
    "mutate": 0.45,
    "crossover": 0.2,
    "tune": 0.2,
    "simplify": 0.05,
}
"""How often each is drawn, relative to the others, unless the config or the proposer says otherwise."""

MODEL_WEIGHTS: Mapping[str, float] = {
    "create": 0.05,
    "mutate": 0.25,
    "crossover": 0.2,
    "tune": 0.6,
    "simplify": 0.05,
    "repair": 0.05,
}
"""The same where models answer: tuning, which asks none, is free; repair counts only while there is what to repair."""


def weights_for(
    known: Sequence[str], chosen: Mapping[str, float], default: Mapping[str, float] = WEIGHTS
) -> dict[str, float]:
    """The weights of the operators a proposer knows: those chosen, or the default, less those chosen to be 0.

    Raises:
        ValueError: a chosen operator is not known to the proposer, or no weight is above zero.
    """
    for name in chosen:
        if name not in known:
            raise ValueError(f"operator '{name}' is not known to this proposer; it knows {', '.join(known)}")
    wanted = chosen if any(chosen.values()) else {**default, **chosen}
    weights = {name: weight for name, weight in wanted.items() if name in known and weight > 0}
    if not weights:
        raise ValueError(f"no operator has a weight above 0; give one to {', '.join(known)}")
    return weights
