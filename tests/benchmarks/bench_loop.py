"""What the loop itself costs per candidate: everything but proposing and evaluating.

Peers, measured the same way (shared reference): 4.5 to 4,000 ms CPU a candidate, one growing from 9 to 62 ms.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from discovery.archive import Archive
from discovery.asking import Asker
from discovery.assemble import Measured, assemble
from discovery.briefing import Briefing
from discovery.budget import Budget
from discovery.candidate import Candidate, Draft
from discovery.config import Config
from discovery.develop import Developer
from discovery.ledger import Ledger
from discovery.lessons import Lessons
from discovery.loop import search
from discovery.operators import MODEL_WEIGHTS
from discovery.population import Population
from discovery.proposers.base import Answer, Proposer, Request
from discovery.proposers.base import Ledger as Calls
from discovery.proposers.settings import OpenAIProposer
from discovery.proposers.tuning import WithTuning
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict
from problems.base import Bound
from problems.registry import load_problem
from tests.endpoint import MDD_LIKE, completion, endpoint

CANDIDATES = 10_000
HTTP_CANDIDATES = 500
WINDOW = 100
LOOKAHEAD = 6
PROBLEM = load_problem("smtt_dispatch")
BOUNDS = (100.0,) * 100


class MockProposer:
    """Answers at once with an idea and a source of its own for every request."""

    operators = ("create", "mutate", "crossover", "simplify", "repair")
    prompted = operators
    weights = MODEL_WEIGHTS
    lookahead = LOOKAHEAD
    lessons_every = 50

    async def propose(self, request: Request, ledger: Calls) -> Answer:
        """A source of about a kilobyte."""
        source = f"# {request.number}\nx = {request.number}\n" + "y = 1.5 * x  # a line of an ordinary heuristic\n" * 25
        return Answer(f"Idea: take {request.number}.\n```python\n{source}```\n", source, "mock")

    async def close(self) -> None:
        """Nothing to close."""


class MockEvaluator:
    """Gives every new source a behaviour and costs of its own; about a tenth are duplicates."""

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """100 costs per split."""
        key = hashlib.sha256(source.encode()).hexdigest()
        rng = random.Random(key)
        signature = key if rng.random() > 0.1 else "common"
        costs = tuple(100.0 + rng.random() for _ in range(100))
        return Evaluation(Verdict.ok, "", costs, 0.1, signature)


def run(proposer: Proposer, candidates: int) -> list[float]:
    """CPU seconds of this process at each commit, with all that a run with models does by default."""
    marks: list[float] = []

    def mark(candidate: Candidate) -> None:
        marks.append(time.process_time())

    async def main(folder: Path) -> None:
        with Archive(folder / "run", "create") as archive:
            budget = Budget(candidates=candidates)
            people = population(archive)
            ask = Asker(proposer=proposer, journal=archive, ledger=Ledger(archive, budget), seed=1)
            briefing = Briefing(PROBLEM, archive, seed=1, edits="whole")
            lessons = Lessons(ask, briefing.reflection, every=proposer.lessons_every, lookahead=LOOKAHEAD)

            async def prompt(draft: Draft) -> str:
                return briefing(draft, await lessons.before(draft.number))

            develop = Developer(
                ask=ask,
                evaluator=MockEvaluator(),
                journal=archive,
                seen=people.seen,
                bounds=BOUNDS,
                prompt=prompt,
                lookahead=LOOKAHEAD,
            )
            observers = [lessons.note, mark]
            await search(people, develop, Timed(archive), budget, lookahead=LOOKAHEAD, observers=observers)
        await proposer.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
    return marks


def population(archive: Archive) -> Population:
    """The population as the defaults have it, with one seed; its instances and measurements are in the archive."""
    instances = PROBLEM.split("train")
    archive.add_instances("train", instances, [Bound(100.0, "optimal", "", 0.0)] * len(instances))
    train = Evaluation(Verdict.ok, "", tuple(150.0 + i for i in range(len(instances))), 0.1, "edd")
    for name in ("edd", "mddc"):
        archive.add_evaluation(name, "train", train)
    seed = Measured("edd", "def priority(p, d, t):\n    return d\n", train, train, 50.0, True)
    config = Config.model_validate({"run": {"problem": "smtt_dispatch"}})
    return assemble(
        config,
        [seed],
        weights=MODEL_WEIGHTS,
        functions=PROBLEM.entry.functions,
        bounds=BOUNDS,
        classes=[instance.classes for instance in instances],
    )


class Timed:
    """Commits with no elapsed time."""

    def __init__(self, archive: Archive) -> None:
        self.commit: Callable[[Candidate], None] = lambda candidate: archive.commit(candidate, 0.0)


def per_candidate(marks: list[float], end: int) -> float:
    """Milliseconds of CPU per candidate over the window that ends at candidate `end`."""
    return 1000 * (marks[end - 1] - marks[end - 1 - WINDOW]) / WINDOW


def main() -> None:
    """Print CPU per candidate early and late, memory, and the same over HTTP."""
    marks = run(WithTuning(MockProposer()), CANDIDATES)
    early, late = per_candidate(marks, 2 * WINDOW), per_candidate(marks, CANDIDATES)
    whole = 1000 * (marks[-1] - marks[0]) / (CANDIDATES - 1)
    print(f"in process: {whole:.2f} ms CPU per candidate over {CANDIDATES:,} (target ≤ 5)")
    print(f"  at 100–200: {early:.2f} ms, at 9,900–10,000: {late:.2f} ms, ratio {late / early:.2f} (target ≤ 1.5)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the main process: {peak:.0f} MB (target ≤ 300)")

    from discovery.proposers.openai import OpenAI

    with endpoint(lambda number, request: completion(f"{number}\n" + MDD_LIKE.format(c=number))) as server:
        settings = OpenAIProposer.model_validate({"kind": "openai", "model": "mock", "base_url": server.url})
        marks = run(WithTuning(OpenAI(settings, "priority")), HTTP_CANDIDATES)
    http = 1000 * (marks[-1] - marks[WINDOW]) / (HTTP_CANDIDATES - 1 - WINDOW)
    print(f"over HTTP: {http:.2f} ms CPU per candidate, the mock server's own share included (target ≤ 10)")


if __name__ == "__main__":
    main()
