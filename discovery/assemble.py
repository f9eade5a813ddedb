"""Putting a run's population together from its config and what is known of the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from discovery.bandit import Adaptive, Bandit
from discovery.cells import Cells, Strengths
from discovery.config import Config
from discovery.normal_form import Form, form_of
from discovery.population import Population, Shape
from discovery.proposers.base import Parent
from discovery.seen import Seen
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict

SHAPE = frozenset(("islands", "island_size", "tournament", "migration_every", "cells"))


@dataclass(frozen=True, slots=True)
class Measured:
    """A baseline with its evaluations and its train score, if it has one; `seed`: whether islands start from it."""

    name: str
    source: str
    probe: Evaluation
    train: Evaluation
    score: float | None
    seed: bool


def assemble(
    config: Config,
    baselines: Sequence[Measured],
    *,
    weights: Mapping[str, float],
    functions: Sequence[str],
    bounds: Sequence[float],
    classes: Sequence[Sequence[str]],
) -> Population:
    """The population a run starts from.

    `weights` of the operators; `functions`: the entry functions, whose names mean something; `bounds`, `classes`: of
    the train instances.
    """
    search = config.search
    form = partial(form_of, kept=frozenset(functions))
    behaviours: dict[str, str] = {}
    for each in baselines:
        if each.probe.verdict is Verdict.ok:
            behaviours.setdefault(each.probe.signature, each.name)
    code = {each.source: each.name for each in baselines}
    seeds = [Parent(each.source, each.score, each.name) for each in baselines if each.seed and each.score is not None]
    return Population(
        seeds,
        shape=Shape(**search.model_dump(include=set(SHAPE))),
        weights=weights,
        seed=config.run.seed,
        seen=Seen(behaviours, code, form if search.same_code else None),
        cells=_cells(baselines, bounds, classes, form) if search.cells > 0 else None,
        adaptive=_adaptive(config, weights) if search.bandit else None,
    )


def _cells(
    baselines: Sequence[Measured],
    bounds: Sequence[float],
    classes: Sequence[Sequence[str]],
    form: Callable[[str], Form | None],
) -> Cells:
    """The grid, with the seeds in it."""
    measured = [each for each in baselines if each.score is not None]
    cells = Cells(Strengths.over([each.train.costs for each in measured], bounds, classes), form)
    for each in measured:
        if each.seed and each.score is not None:
            cells.add(Parent(each.source, each.score, each.name), each.train.costs)
    return cells


def _adaptive(config: Config, weights: Mapping[str, float]) -> Adaptive:
    """The bandits; models of one name share an arm."""
    models = getattr(config.proposer, "models", ())
    drawn: dict[str, float] = {}
    for model in models:
        drawn[model.model] = drawn.get(model.model, 0.0) + model.weight
    return Adaptive(
        operators=Bandit(weights, f"{config.run.seed}:operator"),
        models=Bandit(drawn, f"{config.run.seed}:models") if len(drawn) > 1 else None,
    )
