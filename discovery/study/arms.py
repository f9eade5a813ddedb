"""What a study compares: arms, each a config with some keys changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from discovery.config import Config, load_config
from discovery.create import resolved
from discovery.errors import UsageError
from discovery.proposers.settings import ModelProposer
from problems.registry import load_problem

PARTS: Mapping[str, str] = {
    "cells": "search.cells=0",
    "bandit": "search.bandit=false",
    "same_code": "search.same_code=false",
}
"""Parts of every search, with the setting that turns each off."""
MODEL_PARTS: Mapping[str, str] = {
    "thoughts": "proposer.thoughts=false",
    "weakness": "proposer.weakness=false",
    "reflection": "proposer.reflection=false",
    "lessons": "proposer.lessons=0",
}
"""The same of a search that asks models."""
ALONE = ("search.islands=1", "search.cells=0", "search.bandit=false")
SHAPES: Mapping[str, tuple[str, ...]] = {
    "best-of-N": (*ALONE, "search.operators={create=1}"),
    "greedy": (
        *ALONE,
        "search.island_size=1",
        "search.tournament=1",
        "search.lookahead=1",
        "search.operators={mutate=1}",
    ),
}
"""Searches to be better than. Best-of-N: every candidate invented anew. Greedy, (1+1): always the best so far, changed.

Neither learns lessons, which are a part of ours.
"""


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the settings compared: a config's name, and what is overridden in it."""

    name: str
    config: str
    settings: tuple[str, ...]

    def load(self, *more: str) -> Config:
        """Its config, with `more` overridden.

        Raises:
            UsageError: there is no such config, or a key or value is refused.
        """
        return load_config(self.config, (*self.settings, *more))[0]


def arms_of(
    configs: Sequence[str], settings: Sequence[str], own: Sequence[str], *, ablate: bool, shapes: bool
) -> list[Arm]:
    """The arms of a study: every config with `settings`; and of each, what is asked for, the plain one first.

    `own`: changes of the user's, as `NAME: key=value key=value`; `ablate`: every operator and part off, one by one;
    `shapes`: `SHAPES`.

    Raises:
        UsageError: a config or change is refused, two arms have one name, or there is nothing to compare with it.
    """
    found: list[Arm] = []
    for each in configs:
        config, stem = load_config(each, settings)
        if config.evaluation.engine is not None:
            raise UsageError(
                f"config {each}: a study compares searches and runs no engine; leave evaluation.engine out"
            )
        changes: list[tuple[str, tuple[str, ...]]] = [("", ()), *map(_own, own)]
        if ablate:
            changes += [(f"without {part}", (setting,)) for part, setting in _parts(config).items()]
        if shapes:
            quiet = ("proposer.lessons=0",) if isinstance(config.proposer, ModelProposer) else ()
            changes += [(name, (*shape, *quiet)) for name, shape in SHAPES.items()]
        for change, overrides in changes:
            name = change if change and len(configs) == 1 else f"{stem} {change}".strip()
            found.append(Arm(name, each, (*settings, *overrides)))
    names = [arm.name for arm in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two arms of the study are called '{twice[0]}'; give the configs, or --arm, other names")
    return found


def _own(text: str) -> tuple[str, tuple[str, ...]]:
    name, colon, changes = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9][\w .()+-]*", name) or not changes.split():
        raise UsageError(f"--arm '{text}': expected 'NAME: key=value key=value', e.g. 'one island: search.islands=1'")
    return name, tuple(changes.split())


def _parts(config: Config) -> dict[str, str]:
    """What can be turned off in a config that is on."""
    problem = load_problem(config.run.problem)
    operators = resolved(config, problem).search.operators
    found = {name: f"search.operators.{name}=0" for name in operators if len(operators) > 1}
    if isinstance(config.proposer, ModelProposer):
        found |= {name: setting for name, setting in MODEL_PARTS.items() if getattr(config.proposer, name)}
    return found | {name: setting for name, setting in PARTS.items() if getattr(config.search, name)}
