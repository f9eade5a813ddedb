import asyncio
import random

import pytest

from discovery.budget import Budget, BudgetSpent
from discovery.candidate import Candidate, Draft
from discovery.loop import search
from discovery.population import Population, Shape
from discovery.seen import Seen
from evaluators.verdict import Verdict

SHAPE = Shape(islands=4, island_size=24, tournament=3, migration_every=7)


class Committed(list[Candidate]):
    """A journal that keeps what is committed in a list."""

    def commit(self, candidate: Candidate) -> None:
        """Keep it."""
        self.append(candidate)


def run(delays: random.Random, lookahead: int, candidates: int = 60) -> tuple[list[Candidate], list[int]]:
    """A search whose candidates take random times; the candidates, and how many were open at each start."""
    people = Population([], shape=SHAPE, weights={"create": 1, "mutate": 2}, seed=3, seen=Seen())
    journal = Committed()
    open_now: list[int] = []
    running = 0

    async def develop(draft: Draft) -> Candidate:
        nonlocal running
        running += 1
        open_now.append(running)
        await asyncio.sleep(delays.random() * 0.004)
        running -= 1
        score = random.Random(draft.number).random() + len(draft.parents) * 0.01
        parents = ",".join(parent.label for parent in draft.parents)
        return Candidate(draft, f"{draft.operator} {parents}", Verdict.ok, "", score, f"s{draft.number}")

    reason = asyncio.run(search(people, develop, journal, Budget(candidates=candidates), lookahead=lookahead))
    assert "budget" in reason
    return journal, open_now


def test_commits_come_in_ask_order_and_the_budget_is_exact() -> None:
    """Candidates are committed as numbered, without holes, exactly as many as the budget has."""
    committed, _ = run(random.Random(0), lookahead=5)
    assert [candidate.draft.number for candidate in committed] == list(range(60))


def test_timing_does_not_change_the_run() -> None:
    """Two runs with other delays commit the very same candidates, parents included."""
    assert run(random.Random(1), lookahead=6)[0] == run(random.Random(2), lookahead=6)[0]


def test_lookahead_is_used_and_kept() -> None:
    """As many candidates as `lookahead` are under way at once, never more."""
    _, open_now = run(random.Random(3), lookahead=4)
    assert max(open_now) == 4


def test_a_failure_ends_the_search_and_leaves_nothing_running() -> None:
    """What `develop` raises comes out of the search, and the drafts under way are cancelled."""

    async def main() -> None:
        people = Population([], shape=SHAPE, weights={"create": 1}, seed=0, seen=Seen())
        cancelled: list[int] = []

        async def develop(draft: Draft) -> Candidate:
            if draft.number == 0:
                raise RuntimeError("endpoint gone")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(draft.number)
                raise
            raise AssertionError

        with pytest.raises(RuntimeError, match="endpoint gone"):
            await search(people, develop, Committed(), Budget(candidates=10), lookahead=3)
        await asyncio.sleep(0.01)
        assert cancelled == [1, 2]

    asyncio.run(main())


def test_the_time_budget_counts_earlier_sessions_and_always_permits_what_is_recorded() -> None:
    """A resumed run gets only what is left of its minutes, but recalls all that was committed."""
    clock = iter([0.0, 0.0, 31.0, 31.0]).__next__
    budget = Budget(candidates=10, minutes=1.0, spent_seconds=30.0, recorded=2, clock=clock)
    assert budget.permits(5)
    assert budget.permits(1)
    assert not budget.permits(2)
    assert "1 min" in budget.reason


def test_a_spent_budget_ends_the_search_where_it_was_refused() -> None:
    """Candidates before the refused one are committed, those after it are given up; the reason comes back."""

    async def main() -> None:
        people = Population([], shape=SHAPE, weights={"create": 1}, seed=0, seen=Seen())
        journal = Committed()

        async def develop(draft: Draft) -> Candidate:
            await asyncio.sleep(0.002 * (5 - draft.number))
            if draft.number == 3:
                raise BudgetSpent("no tokens left")
            return Candidate(draft, "x", Verdict.ok, "", 1.0, f"s{draft.number}")

        reason = await search(people, develop, journal, Budget(candidates=10), lookahead=5)
        assert reason == "no tokens left"
        assert [candidate.draft.number for candidate in journal] == [0, 1, 2]

    asyncio.run(main())
