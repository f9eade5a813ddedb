"""One session of a run: everything composed, from the archive to the final leaderboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from discovery.archive import LEARNED, Archive
from discovery.asking import Asker
from discovery.assemble import Measured, assemble
from discovery.briefing import Briefing
from discovery.budget import Budget, Spending
from discovery.candidate import Candidate, Draft
from discovery.config import Config
from discovery.develop import Developer, train_score
from discovery.folders import source_of
from discovery.leaderboard import SPLITS, leaderboard
from discovery.ledger import Ledger
from discovery.lessons import Lessons
from discovery.loop import search
from discovery.operators import weights_for
from discovery.population import Population
from discovery.promotion import Promotion
from discovery.proposers.base import AnswersWanted, Proposer
from discovery.proposers.make import make_proposer
from discovery.proposers.replay import Recorded, Replay
from discovery.proposers.settings import BatchProposer, ReplayProposer
from evaluators.evaluate import Allowance
from evaluators.statistics import compare
from evaluators.verdict import Verdict
from evaluators.workers import Evaluator, Workers
from problems.base import Problem, digest
from problems.registry import load_problem

STYLE = {"edits", "thoughts", "weakness", "reflection"}
"""The keys of a proposer that say how it is asked."""


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
        """The starting population, once every baseline is measured."""
        chosen = self.problem.seeds if self.config.search.seeds is None else self.config.search.seeds
        wanted = {*chosen, *self.champions}
        bounds = self.bounds("train")
        measured: list[Measured] = []
        for name, source in self.archive.baselines().items():
            await self.measure(name, source, "probe")
            await self.measure(name, source, "train")
            probe = self.archive.evaluation(name, "probe")
            train = self.archive.evaluation(name, "train")
            assert probe is not None and train is not None  # both were just measured
            measured.append(Measured(name, source, probe, train, train_score(train, bounds), name in wanted))
        return assemble(
            self.config,
            measured,
            weights=weights_for(self.proposer.operators, self.config.search.operators),
            functions=self.problem.entry.functions,
            bounds=bounds,
            classes=[instance.classes for instance in self.archive.instances("train")],
        )

    async def search(self, population: Population) -> str:
        """The search itself; returns why it ended. Calls in flight are waited for, however it ends."""
        lookahead = self.config.search.lookahead
        assert lookahead is not None  # a run is created with one
        limits = self.config.budget.model_dump()
        budget = Budget(**limits, spent_seconds=self.archive.elapsed(), recorded=self.archive.committed())
        ledger = Ledger(self.archive, budget, self.observers.spending)
        ask = Asker(proposer=self.proposer, journal=self.archive, ledger=ledger, seed=self.config.run.seed)
        briefing = self.briefing()
        lessons = Lessons(ask, briefing.reflection, every=self.proposer.lessons_every, lookahead=lookahead)

        async def prompt(draft: Draft) -> str:
            if isinstance(self.proposer, Replay):
                return self.proposer.prompt(draft.number)
            return briefing(draft, await lessons.before(draft.number))

        develop = Developer(
            ask=ask,
            evaluator=self.evaluator,
            journal=self.archive,
            seen=population.seen,
            bounds=self.bounds("train"),
            prompt=prompt,
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
                observers=(promotion, lessons.note, self.observers.candidate),
            )
            self.archive.event(LEARNED, json.dumps(population.learned))
            self.observers.phase("validation")
            await promotion.finish()
        finally:
            promotion.cancel()
            ledger.close()
            if ledger.in_flight:
                self.observers.phase(f"{ledger.in_flight} calls in flight, waiting for their answers (Ctrl-C: do not)")
            await ask.drain()
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
        rival = self.rival()
        rival_test = self.archive.evaluation(rival, "test") if rival else None
        if rival is None or rival_test is None or rival_test.verdict is not Verdict.ok:
            return
        done = self.archive.comparisons("test")
        for heuristic in self.archive.evaluated("test"):
            test = self.archive.evaluation(heuristic, "test")
            if heuristic not in (*done, rival) and test is not None and test.verdict is Verdict.ok:
                result = compare(test.costs, rival_test.costs, self.bounds("test"), rival)
                self.archive.add_comparison(heuristic, "test", rival, result)

    def rival(self) -> str | None:
        """The baseline to beat: the problem's best, or a champion that is better on validation."""
        best = self.problem.best_baseline
        found = [best, *self.champions] if best else self.champions
        rows = {row.heuristic: row.gap("validation") for row in leaderboard(self.archive) if row.heuristic in found}
        return min(rows, key=rows.__getitem__, default=best) if self.champions else best

    @property
    def champions(self) -> list[str]:
        """Champions of earlier runs that are baselines of this one; none in archives from before there were any."""
        return list(self.archive.meta().get("champions", ()))

    async def measure(self, label: str, source: str, split: str) -> None:
        """Evaluate a heuristic on a split and record it, unless that is done already."""
        if self.archive.evaluation(label, split) is None:
            self.archive.add_evaluation(label, split, await self.evaluator.evaluate(source, split))

    def bounds(self, split: str) -> tuple[float, ...]:
        return tuple(instance.bound for instance in self.archive.instances(split))

    def briefing(self) -> Briefing:
        """What writes the prompts."""
        style = self.config.proposer.model_dump(include=STYLE)  # nothing, where no model is asked
        return Briefing(self.problem, self.archive, seed=self.config.run.seed, **style)


@dataclass(frozen=True, slots=True)
class _Timed:
    """Commits to the archive with the time spent so far."""

    archive: Archive
    budget: Budget

    def commit(self, candidate: Candidate) -> None:
        self.archive.commit(candidate, self.budget.elapsed)
