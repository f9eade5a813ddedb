"""One session of a run: everything composed, from the config to the final leaderboard."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version

from discovery import __version__
from discovery.archive import CREATED, Archive
from discovery.budget import Budget
from discovery.candidate import Candidate, Draft
from discovery.config import Config, OpenAIProposer
from discovery.develop import Developer, train_score
from discovery.errors import UsageError
from discovery.folders import source_of
from discovery.leaderboard import SPLITS, leaderboard
from discovery.loop import search
from discovery.operators import weights_for
from discovery.population import Population, Shape
from discovery.promotion import Promotion
from discovery.proposers.base import Answer, Parent, Proposer
from evaluators.bounds import bounds_of
from evaluators.evaluate import Allowance
from evaluators.heuristic import baselines
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import Tier
from evaluators.statistics import compare
from evaluators.verdict import Verdict
from evaluators.workers import Workers
from problems.base import Problem, digest
from problems.registry import absolute_spec, load_problem


@dataclass(frozen=True, slots=True)
class Observers:
    """What wants to know how a run goes: phases as text, and every committed candidate."""

    phase: Callable[[str], None]
    candidate: Callable[[Candidate], None]


def create(config: Config, stem: str, observers: Observers) -> Archive:
    """Make the folder and archive of a new run, with its problem, baselines, instances and bounds.

    Raises:
        UsageError: the problem or proposer does not fit, or the folder exists.
    """
    config = config.model_copy(
        update={"run": config.run.model_copy(update={"problem": absolute_spec(config.run.problem)})}
    )
    problem = load_problem(config.run.problem)
    make_proposer(config, problem)  # so that what is wrong with it shows before anything is written
    isolation(config)
    known = {heuristic.name: heuristic for heuristic in baselines(problem)}
    for name in config.search.seeds or problem.seeds:
        if name not in known:
            raise UsageError(
                f"search.seeds: '{name}' is no baseline of {problem.name}; it has {', '.join(known) or 'none'}"
            )
    splits = []
    for split in SPLITS:
        observers.phase(f"bounds of the {split} split")
        instances = problem.split(split)
        splits.append((split, instances, bounds_of(problem, instances)))
    folder = config.run.folder / (config.run.name or f"{stem}-{datetime.now():%Y%m%d-%H%M%S}")
    archive = Archive(folder, "create")  # only now: what fails above leaves nothing behind
    archive.describe(
        config=config.model_dump(mode="json"),
        problem=problem.name,
        seed=config.run.seed,
        version=__version__,
        python=platform.python_version(),
        numpy=version("numpy"),
        machine=platform.platform(),
    )
    for heuristic in known.values():
        archive.add_baseline(heuristic.name, heuristic.source)
    for split, instances, bounds in splits:
        archive.add_instances(split, instances, bounds)
    archive.event(CREATED)
    return archive


async def run(archive: Archive, observers: Observers) -> str:
    """Search until the budget is spent, then evaluate the finalists; goes on where an earlier session ended.

    Returns why the search ended.
    """
    config = Config.model_validate(archive.meta()["config"])
    problem = load_problem(config.run.problem)
    proposer, weights = make_proposer(config, problem)
    isolation(config)
    wanted = config.evaluation
    workers = Workers(
        config.run.problem,
        count=wanted.workers,
        allowance=allowance_of(config),
        min_tier=wanted.min_isolation,
        digests=recorded_digests(archive),
    )
    async with workers:
        archive.event("started", workers.tier)
        session = _Session(config, problem, archive, workers, proposer, observers)
        try:
            observers.phase("baselines")
            population = await session.population(weights)
            reason = await session.search(population)
            await session.finals()
        finally:
            await proposer.close()
    archive.event("finished", reason)
    return reason


def recorded_digests(archive: Archive) -> dict[str, str]:
    """Content hashes of the run's splits."""
    return {split: digest(archive.instances(split)) for split in SPLITS}


def isolation(config: Config) -> Tier:
    """The tier of isolation on this machine.

    Raises:
        IsolationUnavailable: it is weaker than the config's `min_isolation`.
    """
    with Sandbox(min_tier=config.evaluation.min_isolation) as sandbox:
        return sandbox.tier


def allowance_of(config: Config) -> Allowance:
    """What a config allows a candidate."""
    wanted = config.evaluation
    return Allowance(wanted.cpu_scale, wanted.memory_mb, fresh_process=wanted.fresh_process)


def make_proposer(config: Config, problem: Problem) -> tuple[Proposer, dict[str, float]]:
    """The proposer of a config, and the weights of its operators.

    Raises:
        UsageError: it does not fit the problem, or a key is missing.
    """
    proposer: Proposer
    try:
        if isinstance(config.proposer, OpenAIProposer):
            from discovery.proposers.openai import OpenAI  # a second to import: only for those who use it

            proposer = OpenAI(config.proposer)
        else:
            from discovery.proposers.genetic import Genetic

            proposer = Genetic(problem.entry, problem.skeleton)
        return proposer, weights_for(proposer.operators, config.search.operators)
    except ValueError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Session:
    config: Config
    problem: Problem
    archive: Archive
    workers: Workers
    proposer: Proposer
    observers: Observers

    async def population(self, weights: dict[str, float]) -> Population:
        """The starting population: seeds with their train scores, and the behaviour of every baseline."""
        known: dict[str, str] = {}
        seeds: list[Parent] = []
        wanted = self.config.search.seeds or self.problem.seeds
        bounds = self.bounds("train")
        for name, source in self.archive.baselines().items():
            await self.measure(name, source, "probe")
            await self.measure(name, source, "train")
            probe = self.archive.evaluation(name, "probe")
            train = self.archive.evaluation(name, "train")
            assert probe is not None and train is not None  # both were just measured
            if probe.verdict is Verdict.ok:
                known.setdefault(probe.signature, name)
            score = train_score(train, bounds)
            if name in wanted and score is not None:
                seeds.append(Parent(source, score, name))
        search = self.config.search
        shape = Shape(**search.model_dump(include={"islands", "island_size", "tournament", "migration_every"}))
        return Population(seeds, shape=shape, weights=weights, seed=self.config.run.seed, known=known)

    async def search(self, population: Population) -> str:
        """The search itself; returns why it ended."""
        lookahead = self.config.search.lookahead
        budget = Budget(
            candidates=self.config.budget.candidates,
            minutes=self.config.budget.minutes,
            spent_seconds=self.archive.elapsed(),
            recorded=self.archive.committed(),
        )
        develop = Developer(
            proposer=self.proposer,
            evaluator=self.workers,
            journal=self.archive,
            duplicate_of=population.duplicate_of,
            bounds=self.bounds("train"),
            prompt=self.prompt,
            price=self.price,
            seed=self.config.run.seed,
            lookahead=lookahead,
        )
        promotion = Promotion(partial(self.measure, split="validation"), self.config.evaluation.promote)
        journal = _Timed(self.archive, budget)
        self.observers.phase("search")
        try:
            reason = await search(
                population,
                develop,
                journal,
                budget,
                lookahead=lookahead,
                observers=(promotion, self.observers.candidate),
            )
            self.observers.phase("validation")
            await promotion.finish()
        finally:
            promotion.cancel()
        return reason

    async def finals(self) -> None:
        """Baselines and the best on validation go to test; each is compared with the best baseline there."""
        self.observers.phase("baselines on validation and test")
        for name, source in self.archive.baselines().items():
            await self.measure(name, source, "validation")
            await self.measure(name, source, "test")
        self.observers.phase("finalists on test")
        finalists = [row for row in leaderboard(self.archive) if row.origin != "baseline"]
        for row in finalists[: self.config.evaluation.finalists]:
            await self.measure(row.heuristic, source_of(self.archive, row.heuristic), "test")
        self.compare_on_test()

    def compare_on_test(self) -> None:
        """Record every tested heuristic's comparison with the baseline to beat, where there is one."""
        rival = self.problem.best_baseline
        rival_test = self.archive.evaluation(rival, "test") if rival else None
        if rival is None or rival_test is None or rival_test.verdict is not Verdict.ok:
            return
        done = self.archive.comparisons("test")
        for heuristic in self.archive.evaluated("test"):
            test = self.archive.evaluation(heuristic, "test")
            if heuristic not in (*done, rival) and test is not None and test.verdict is Verdict.ok:
                result = compare(test.costs, rival_test.costs, self.bounds("test"), rival)
                self.archive.add_comparison(heuristic, "test", rival, result)

    async def measure(self, label: str, source: str, split: str) -> None:
        """Evaluate a heuristic on a split and record it, unless that is done already."""
        if self.archive.evaluation(label, split) is None:
            self.archive.add_evaluation(label, split, await self.workers.evaluate(source, split))

    def bounds(self, split: str) -> tuple[float, ...]:
        return tuple(instance.bound for instance in self.archive.instances(split))

    def prompt(self, draft: Draft) -> str:
        """The text a model is asked with."""
        import prompts.render  # jinja2: only for proposers that want a prompt

        entry = self.problem.entry
        facts = {
            "brief": self.problem.brief,
            "signature": entry.signature,
            "arguments": entry.arguments,
            "returns": entry.returns,
            "companions": entry.companions,
            "hints": self.problem.hints,
        }
        return prompts.render.render(draft.operator, facts, draft.parents, f"{self.config.run.seed}:{draft.number}")

    def price(self, answer: Answer) -> float:
        """What an answer cost, by the config's prices per million tokens."""
        if not isinstance(self.config.proposer, OpenAIProposer):
            return 0.0
        prices = self.config.proposer
        paid = answer.input_tokens * prices.input_price + answer.output_tokens * prices.output_price
        return paid / 1e6


@dataclass(frozen=True, slots=True)
class _Timed:
    """Commits to the archive with the time spent so far."""

    archive: Archive
    budget: Budget

    def commit(self, candidate: Candidate) -> None:
        self.archive.commit(candidate, self.budget.elapsed)
