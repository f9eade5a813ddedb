"""One session of a run: everything composed, from the archive to the final leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from discovery.archive import Archive
from discovery.budget import Budget, Spending
from discovery.candidate import Candidate, Draft
from discovery.config import Config
from discovery.develop import Developer, train_score
from discovery.folders import source_of
from discovery.leaderboard import SPLITS, leaderboard
from discovery.ledger import Ledger
from discovery.loop import search
from discovery.operators import weights_for
from discovery.population import Population, Shape
from discovery.promotion import Promotion
from discovery.proposers.base import AnswersWanted, Parent, Proposer
from discovery.proposers.make import make_proposer
from discovery.proposers.replay import Recorded
from discovery.proposers.settings import BatchProposer, ReplayProposer
from evaluators.evaluate import Allowance
from evaluators.statistics import compare
from evaluators.verdict import Verdict
from evaluators.workers import Evaluator, Workers
from problems.base import Problem, digest
from problems.registry import load_problem


@dataclass(frozen=True, slots=True)
class Observers:
    """What wants to know how a run goes: phases as text, every committed candidate, and what is spent."""

    phase: Callable[[str], None]
    candidate: Callable[[Candidate], None]
    spending: Callable[[Spending], None]


async def run(archive: Archive, observers: Observers) -> str:
    """Search until the budget is spent, then evaluate the finalists; goes on where an earlier session ended.

    Returns why the search ended.

    Raises:
        AnswersWanted: the run pauses until answers come from outside.
        ProposerError: no more answers can be had for now.
    """
    config = Config.model_validate(archive.config)
    problem = load_problem(config.run.problem)
    proposer = make_proposer(config.proposer, problem)
    if isinstance(config.proposer, ReplayProposer):
        archive.relax()  # nothing in it was paid for
    try:
        async with evaluator_of(config, archive) as evaluator:
            archive.event("started", evaluator.tier)
            session = _Session(config, problem, archive, evaluator, proposer, observers)
            reason = await session.search_and_exchange()
            await session.finals()
    finally:
        await proposer.close()
    archive.event("finished", reason)
    return reason


def evaluator_of(config: Config, archive: Archive) -> Workers | Recorded:
    """Workers, or the measurements of a recording."""
    if isinstance(config.proposer, ReplayProposer) and config.proposer.measurements == "recorded":
        return Recorded(config.proposer.run, archive)
    wanted = config.evaluation
    return Workers(
        config.run.problem,
        count=wanted.workers,
        allowance=allowance_of(config),
        min_tier=wanted.min_isolation,
        digests=recorded_digests(archive),
    )


def recorded_digests(archive: Archive) -> dict[str, str]:
    """Content hashes of the run's splits."""
    return {split: digest(archive.instances(split)) for split in SPLITS}


def allowance_of(config: Config) -> Allowance:
    """What a config allows a candidate."""
    wanted = config.evaluation
    return Allowance(wanted.cpu_scale, wanted.memory_mb, fresh_process=wanted.fresh_process)


@dataclass(frozen=True, slots=True)
class _Session:
    config: Config
    problem: Problem
    archive: Archive
    evaluator: Evaluator
    proposer: Proposer
    observers: Observers

    async def search_and_exchange(self) -> str:
        """The search; where answers come by file, it is taken up again whenever some have come."""
        while True:
            self.observers.phase("baselines")
            population = await self.population()
            try:
                return await self.search(population)
            except AnswersWanted:
                if not isinstance(self.config.proposer, BatchProposer):
                    raise
                from discovery.batches import Exchange  # openai takes half a second to import

                function, phase = self.problem.entry.function, self.observers.phase
                await Exchange(self.archive, self.config.proposer, function, phase)()

    async def population(self) -> Population:
        """The starting population: seeds with their train scores, and the behaviour of every baseline."""
        known: dict[str, str] = {}
        seeds: list[Parent] = []
        wanted = self.problem.seeds if self.config.search.seeds is None else self.config.search.seeds
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
        weights = weights_for(self.proposer.operators, search.operators)
        return Population(seeds, shape=shape, weights=weights, seed=self.config.run.seed, known=known)

    async def search(self, population: Population) -> str:
        """The search itself; returns why it ended. Calls in flight are waited for, however it ends."""
        lookahead = self.config.search.lookahead
        assert lookahead is not None  # a run is created with one
        limits = self.config.budget.model_dump()
        budget = Budget(**limits, spent_seconds=self.archive.elapsed(), recorded=self.archive.committed())
        ledger = Ledger(self.archive, budget, self.observers.spending)
        develop = Developer(
            proposer=self.proposer,
            evaluator=self.evaluator,
            journal=self.archive,
            ledger=ledger,
            duplicate_of=population.duplicate_of,
            bounds=self.bounds("train"),
            prompt=self.prompt,
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
            ledger.close()
            if ledger.in_flight:
                self.observers.phase(f"{ledger.in_flight} calls in flight, waiting for their answers (Ctrl-C: do not)")
            await develop.drain()
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
            self.archive.add_evaluation(label, split, await self.evaluator.evaluate(source, split))

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


@dataclass(frozen=True, slots=True)
class _Timed:
    """Commits to the archive with the time spent so far."""

    archive: Archive
    budget: Budget

    def commit(self, candidate: Candidate) -> None:
        self.archive.commit(candidate, self.budget.elapsed)
