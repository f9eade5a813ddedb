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
from discovery.budget import Budget
from discovery.candidate import Candidate
from discovery.develop import Developer
from discovery.ledger import Ledger
from discovery.loop import search
from discovery.population import Population, Shape
from discovery.proposers.base import Answer, Parent, Proposer, Request
from discovery.proposers.base import Ledger as Calls
from discovery.proposers.settings import OpenAIProposer
from evaluators.evaluation import Evaluation
from evaluators.verdict import Verdict
from tests.endpoint import MDD_LIKE, completion, endpoint

CANDIDATES = 10_000
HTTP_CANDIDATES = 500
WINDOW = 100
LOOKAHEAD = 6
SHAPE = Shape(islands=2, island_size=12, tournament=3, migration_every=100)


class MockProposer:
    """Answers at once with a source of its own for every request."""

    operators = ("create", "mutate", "crossover")
    needs_prompt = True
    lookahead = LOOKAHEAD

    async def propose(self, request: Request, ledger: Calls) -> Answer:
        """A source of about a kilobyte."""
        source = f"# {request.number}\n" + "x = 1  # a line of an ordinary heuristic\n" * 25
        return Answer(source, source, "mock")

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
    """CPU seconds of this process at each commit."""
    marks: list[float] = []

    def mark(candidate: Candidate) -> None:
        marks.append(time.process_time())

    async def main(folder: Path) -> None:
        seeds = [Parent("def priority(p, d, t):\n    return d\n", 50.0, "edd")]
        weights = {"create": 0.1, "mutate": 0.5, "crossover": 0.4}
        people = Population(seeds, shape=SHAPE, weights=weights, seed=1, known={})
        with Archive(folder / "run", "create") as archive:
            budget = Budget(candidates=candidates)
            develop = Developer(
                proposer=proposer,
                evaluator=MockEvaluator(),
                journal=archive,
                ledger=Ledger(archive, budget),
                duplicate_of=people.duplicate_of,
                bounds=(100.0,) * 100,
                prompt=lambda draft: render(draft.operator, draft.parents, draft.number),
                seed=1,
                lookahead=LOOKAHEAD,
            )
            await search(people, develop, Timed(archive), budget, lookahead=LOOKAHEAD, observers=[mark])
        await proposer.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
    return marks


class Timed:
    """Commits with no elapsed time."""

    def __init__(self, archive: Archive) -> None:
        self.commit: Callable[[Candidate], None] = lambda candidate: archive.commit(candidate, 0.0)


def render(operator: str, parents: tuple[Parent, ...], number: int) -> str:
    """A real prompt."""
    import prompts.render
    from problems.registry import load_problem

    problem = load_problem("smtt_dispatch")
    facts = {
        "brief": problem.brief,
        "signature": problem.entry.signature,
        "arguments": problem.entry.arguments,
        "returns": problem.entry.returns,
        "companions": problem.entry.companions,
        "hints": problem.hints,
    }
    return prompts.render.render(operator, facts, parents, f"1:{number}")


def per_candidate(marks: list[float], end: int) -> float:
    """Milliseconds of CPU per candidate over the window that ends at candidate `end`."""
    return 1000 * (marks[end - 1] - marks[end - 1 - WINDOW]) / WINDOW


def main() -> None:
    """Print CPU per candidate early and late, memory, and the same over HTTP."""
    marks = run(MockProposer(), CANDIDATES)
    early, late = per_candidate(marks, 2 * WINDOW), per_candidate(marks, CANDIDATES)
    whole = 1000 * (marks[-1] - marks[0]) / (CANDIDATES - 1)
    print(f"in process: {whole:.2f} ms CPU per candidate over {CANDIDATES:,} (target ≤ 5)")
    print(f"  at 100–200: {early:.2f} ms, at 9,900–10,000: {late:.2f} ms, ratio {late / early:.2f} (target ≤ 1.5)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the main process: {peak:.0f} MB (target ≤ 300)")

    from discovery.proposers.openai import OpenAI

    with endpoint(lambda number, request: completion(f"{number}\n" + MDD_LIKE.format(c=number))) as server:
        settings = OpenAIProposer.model_validate({"kind": "openai", "model": "mock", "base_url": server.url})
        marks = run(OpenAI(settings, "priority"), HTTP_CANDIDATES)
    http = 1000 * (marks[-1] - marks[WINDOW]) / (HTTP_CANDIDATES - 1 - WINDOW)
    print(f"over HTTP: {http:.2f} ms CPU per candidate, the mock server's own share included (target ≤ 10)")


if __name__ == "__main__":
    main()
