"""Making a new run: its folder and archive, with its config, problem, baselines, instances and bounds."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version

from discovery import __version__
from discovery.archive import CREATED, Archive
from discovery.champions import chosen
from discovery.config import Config
from discovery.errors import UsageError
from discovery.leaderboard import SPLITS
from discovery.operators import weights_for
from discovery.proposers.keys import run_no_uname
from discovery.proposers.make import make_proposer
from evaluators.bounds import bounds_of
from evaluators.heuristic import baselines
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Problem
from problems.registry import absolute_spec, load_problem


def create(config: Config, stem: str, phase: Callable[[str], None]) -> Archive:
    """Make the archive of a new run, called `stem` and the time unless its config has a name.

    Raises:
        UsageError: the problem or proposer does not fit, or the folder exists.
        IsolationUnavailable: this machine's isolation is weaker than the config's `min_isolation`.
    """
    problem = load_problem(config.run.problem)
    config = resolved(config, problem)
    Sandbox(min_tier=config.evaluation.min_isolation).close()
    known = {heuristic.name: heuristic for heuristic in baselines(problem)}
    for name in problem.seeds if config.search.seeds is None else config.search.seeds:
        if name not in known:
            raise UsageError(
                f"search.seeds: '{name}' is no baseline of {problem.name}; it has {', '.join(known) or 'none'}"
            )
    champions = chosen(problem.name) if config.run.champions else {}
    splits = []
    for split in SPLITS:
        phase(f"bounds of the {split} split")
        instances = problem.split(split)
        splits.append((split, instances, bounds_of(problem, instances)))
    folder = config.run.folder / (config.run.name or f"{stem}-{datetime.now():%Y%m%d-%H%M%S}")
    run_no_uname()
    archive = Archive(folder, "create")  # only now: what fails above leaves nothing behind
    archive.describe(
        config=config.model_dump(mode="json"),
        problem=problem.name,
        seed=config.run.seed,
        version=__version__,
        python=platform.python_version(),
        numpy=version("numpy"),
        machine=platform.platform(),
        champions=list(champions),
    )
    for heuristic in known.values():
        archive.add_baseline(heuristic.name, heuristic.source)
    for name, source in champions.items():
        archive.add_baseline(name, source)
    for split, instances, bounds in splits:
        archive.add_instances(split, instances, bounds)
    archive.event(CREATED)
    return archive


def resolved(config: Config, problem: Problem, *, begun: bool = False) -> Config:
    """The config with what depends on where and by what it is run: absolute paths, look-ahead and weights.

    `begun`: it is that of a run that has begun, whose operators are what they were.

    Raises:
        UsageError: the proposer does not fit the problem, or the operators chosen do not fit the proposer.
    """
    proposer = make_proposer(config.proposer, problem)  # so that what is wrong with it shows before anything is written
    asyncio.run(proposer.close())
    try:
        weights = weights_for(proposer.operators, config.search.operators, proposer.weights)
    except ValueError as error:
        raise UsageError(str(error)) from error
    run = config.run.model_copy(update={"problem": absolute_spec(config.run.problem)})
    chosen = {"lookahead": config.search.lookahead or proposer.lookahead}
    search = config.search.model_copy(update=chosen if begun else {**chosen, "operators": weights})
    paths = {name: path.resolve() for name in ("cache", "run") if (path := getattr(config.proposer, name, None))}
    settings = config.proposer.model_copy(update=paths)
    return config.model_copy(update={"run": run, "search": search, "proposer": settings})
