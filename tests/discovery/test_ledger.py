import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.archive import CREATED, Archive
from discovery.budget import Budget, BudgetSpent, Spending
from discovery.ledger import Ledger
from discovery.proposers.base import NOTHING, Answer, Call, Charge, Outcome, ProposerError


@contextmanager
def journal() -> Iterator[Archive]:
    """A run's archive, on disk but not waiting for the disk."""
    with TemporaryDirectory() as folder, Archive(Path(folder) / "r", "create") as archive:
        archive._db.execute("PRAGMA synchronous = OFF")
        archive.event(CREATED)
        yield archive


def answer(count: int, call: Call | None) -> Answer:
    """An answer of so many tokens."""
    return Answer("text", "source", "m", count, 0, 0.0, count / 1024, call)


async def begun(ledger: Ledger, number: int, most: Charge, *, idempotent: bool = False) -> Call:
    """A call for which there is room, begun."""
    async with ledger.reserved(most) as reservation:
        return ledger.begin(reservation, number, "m", idempotent=idempotent)


async def refused(ledger: Ledger, most: Charge) -> str:
    """Why there is no room."""
    with pytest.raises(BudgetSpent) as caught:
        await begun(ledger, 999, most)
    return str(caught.value)


def tokens(count: int) -> Charge:
    """So many tokens, at a 1024th each, which adds up exactly."""
    return Charge(count, count / 1024)


Main = Callable[[Archive], Coroutine[Any, Any, None]]


def play(main: Main) -> None:
    """Run a coroutine on a fresh archive; whoever waits for ever fails."""

    async def limited(archive: Archive) -> None:
        async with asyncio.timeout(2):
            await main(archive)

    with journal() as archive:
        asyncio.run(limited(archive))


# ---- any course of events


@dataclass(frozen=True)
class Plan:
    """What one caller does: how long it dawdles before each step, what it reserves, and how its call ends."""

    most: int
    used: int
    ending: Literal["answered", "rejected", "unusable", "lost", "unreachable", "left", "given back", "cancelled"]
    steps: tuple[int, int, int]
    idempotent: bool


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A caller whose call costs no more than its most."""
    most = draw(st.integers(1, 60))
    endings = ["answered", "rejected", "unusable", "lost", "unreachable", "left", "given back", "cancelled"]
    ending = draw(st.sampled_from(endings))
    steps = draw(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)))
    return Plan(most, draw(st.integers(0, most)), ending, steps, draw(st.booleans()))  # type: ignore[arg-type]


@dataclass
class Play:
    """Callers on one ledger, and what must hold at every moment."""

    archive: Archive
    limits: dict[str, Any]
    asked: list[int] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    seen: list[Spending] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.archive, Budget(candidates=10, **self.limits), self.watch)

    def watch(self, spending: Spending) -> None:
        """Nothing is ever spent and held beyond the budget, and what is held is part of what is charged."""
        self.seen.append(spending)
        assert spending.charge.tokens <= self.limits["tokens"]
        assert spending.charge.cost <= self.limits["money"] + 1e-9
        assert spending.calls <= self.limits["calls"]
        assert 0 <= spending.held.tokens <= spending.charge.tokens
        assert -1e-9 <= spending.held.cost <= spending.charge.cost + 1e-9

    async def call(self, number: int, plan: Plan) -> None:
        """One caller."""
        await ticks(plan.steps[0])
        self.asked.append(number)
        try:
            async with self.ledger.reserved(tokens(plan.most)) as reservation:
                self.served.append(number)
                await ticks(plan.steps[1])
                if plan.ending == "given back":
                    return
                call = self.ledger.begin(reservation, number, "m", idempotent=plan.idempotent)
        except BudgetSpent:
            self.served.append(number)
            assert self.ledger.in_flight == 0, "a call in flight might have made room"
            return
        try:
            await ticks(plan.steps[2])
        finally:
            self.end(call, number, plan)

    def end(self, call: Call, number: int, plan: Plan) -> None:
        """The caller's call ends, or does not."""
        used: dict[Outcome, Charge] = {
            "rejected": NOTHING,
            "unreachable": NOTHING,
            "lost": call.most,
            "unusable": tokens(plan.used),
        }
        if plan.ending == "answered":
            self.ledger.answered(number, answer(plan.used, call))
        elif plan.ending in ("left", "cancelled"):
            self.ledger.leave(call)
        elif plan.ending != "given back":
            self.ledger.settle(call, plan.ending, used[plan.ending], "", 0.0)

    async def all(self, callers: list[Plan]) -> None:
        """All callers at once; some are cancelled while they wait."""
        async with asyncio.TaskGroup() as group:  # the first that fails ends all
            for number, plan in enumerate(callers):
                task = group.create_task(self.call(number, plan))
                if plan.ending == "cancelled":
                    group.create_task(self.cancel(task, plan.steps[1]))

    async def cancel(self, task: asyncio.Task[None], after: int) -> None:
        """Cancel a caller, wherever it is by then."""
        await ticks(after)
        task.cancel()


async def ticks(count: int) -> None:
    """Let the others run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


LIMITS = st.fixed_dictionaries(
    {"tokens": st.integers(20, 150), "money": st.integers(20, 150).map(lambda n: n / 1024), "calls": st.integers(1, 8)}
)


@settings(max_examples=80, deadline=None)
@given(LIMITS, st.lists(plans(), min_size=1, max_size=12))
def test_whatever_happens_the_budget_holds_and_the_journal_knows(limits: dict[str, Any], callers: list[Plan]) -> None:
    """Random callers, interleaved at random: never a token, cent or call over the budget, first come first served,
    nobody is refused while a call in flight may still make room, nobody waits for ever, and who opens the journal
    again finds the same spending, all that did not end held in full."""

    async def main(archive: Archive) -> None:
        at_work = Play(archive, limits)
        await at_work.all(callers)
        cancelled = {number for number, plan in enumerate(callers) if plan.ending == "cancelled"}
        assert [each for each in at_work.served if each not in cancelled] == [
            each for each in at_work.asked if each not in cancelled
        ]
        assert at_work.ledger.in_flight == 0
        before = at_work.ledger.spending
        again = Ledger(archive, Budget(candidates=10)).spending
        assert (again.calls, again.charge.tokens, again.held.tokens) == (
            before.calls,
            before.charge.tokens,
            before.held.tokens,
        )
        assert again.charge.cost == pytest.approx(before.charge.cost)
        assert again.held.cost == pytest.approx(before.held.cost)

    play(main)


# ---- one thing at a time


def test_an_answer_frees_what_it_did_not_use() -> None:
    """100 tokens, two calls of at most 60: the second waits for the first, which uses 30, and then begins."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        first = await begun(ledger, 0, tokens(60))
        second = asyncio.ensure_future(begun(ledger, 1, tokens(60)))
        await ticks(5)
        assert not second.done()
        ledger.answered(0, answer(30, first))
        call = await second
        assert ledger.spending == Spending(2, tokens(90), tokens(60))
        ledger.answered(1, answer(60, call))
        await begun(ledger, 2, tokens(10))
        assert ledger.spending.charge == tokens(100)

    play(main)


def test_what_was_refused_once_ends_the_spending() -> None:
    """After a refusal nobody gets room, though a smaller call would fit: the run ends there, and pays no more."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        ledger.answered(0, answer(90, await begun(ledger, 0, tokens(90))))
        assert "has no room for another call: 90 used, 10 left" in await refused(ledger, tokens(11))
        assert "has no room for another call: 90 used, 10 left" in await refused(ledger, tokens(10))

    play(main)


def test_first_come_first_served() -> None:
    """A small call does not overtake a large one that waits for room, though there is room for it."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        first = await begun(ledger, 0, tokens(60))
        large = asyncio.ensure_future(begun(ledger, 1, tokens(80)))
        await ticks(3)
        small = asyncio.ensure_future(begun(ledger, 2, tokens(1)))
        await ticks(5)
        assert not large.done() and not small.done()
        ledger.settle(first, "rejected", NOTHING, "", 0.0)
        await large
        await small
        assert [row["number"] for row in archive.query("SELECT number FROM call ORDER BY id")] == [0, 1, 2]

    play(main)


def test_who_stops_waiting_lets_the_next_one_through() -> None:
    """Cancelling the caller at the head of the queue blocks nobody."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        await begun(ledger, 0, tokens(60))
        large = asyncio.ensure_future(begun(ledger, 1, tokens(80)))
        await ticks(3)
        small = asyncio.ensure_future(begun(ledger, 2, tokens(1)))
        await ticks(3)
        large.cancel()
        assert (await small).number == 2

    play(main)


@pytest.mark.parametrize("ending", ["given back", "failed"])
def test_room_that_was_reserved_and_not_used_is_free_again(ending: str) -> None:
    """A caller that leaves without a call, in peace or by an exception, leaves nothing behind."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100, calls=1))
        try:
            async with ledger.reserved(tokens(100)):
                if ending == "failed":
                    raise KeyError
        except KeyError:
            pass
        assert ledger.spending == Spending()
        await begun(ledger, 0, tokens(100))

    play(main)


def test_a_call_of_unknown_outcome_keeps_its_reservation_for_good() -> None:
    """It may have been billed: no other call gets its room, and the refusal says what is only perhaps used."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        call = await begun(ledger, 0, tokens(60))
        ledger.settle(call, "lost", call.most, "reset", 1.0)
        assert ledger.spending == Spending(1, tokens(60), tokens(60))
        said = await refused(ledger, tokens(41))
        assert "60 used, 60 of them perhaps (calls of unknown outcome), 40 left" in said

    play(main)


@pytest.mark.parametrize(("outcome", "calls"), [("rejected", 1), ("unreachable", 0)])
def test_what_the_endpoint_did_no_work_for_costs_no_token(outcome: Outcome, calls: int) -> None:
    """A rejected call counts as a call; one that reached nobody does not even count as that."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, calls=5))
        ledger.settle(await begun(ledger, 0, tokens(60)), outcome, NOTHING, "", 0.0)
        assert ledger.spending == Spending(calls, NOTHING, NOTHING) == Ledger(archive, Budget(candidates=1)).spending

    play(main)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"calls": 2}, "the budget of 2 calls is used up"),
        ({"tokens": 119}, "the budget of 119 tokens has no room for another call: 80 used, 39 left"),
        (
            {"money": 0.11},
            "the budget of 0.11 in money has no room for another call: 0.0781 spent, a call may cost 0.0391",
        ),
    ],
)
def test_the_refusal_says_which_budget(limits: dict[str, Any], said: str) -> None:
    """Two calls of 40 tokens are answered; the third is refused by each kind of budget in its own words."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, **limits))
        for number in range(2):
            ledger.answered(number, answer(40, await begun(ledger, number, tokens(40))))
        assert await refused(ledger, tokens(40)) == said

    play(main)


def test_more_than_the_most_is_charged_as_billed() -> None:
    """An endpoint that bills beyond the bound is believed; the budget is overrun by that, and by no further call."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        ledger.answered(0, answer(130, await begun(ledger, 0, tokens(40))))
        assert ledger.spending.charge.tokens == 130
        assert "130 used, 0 left" in await refused(ledger, tokens(1))

    play(main)


def test_a_call_sent_again_under_its_key_is_owed_once() -> None:
    """Lost, sent again and rejected, sent again and answered: three calls, one key, one bill, also when reopened."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=1000))
        first = await begun(ledger, 0, tokens(60), idempotent=True)
        ledger.settle(first, "lost", first.most, "reset", 1.0)
        second = await begun(ledger, 0, tokens(60), idempotent=True)
        assert ledger.spending == Spending(2, tokens(60), tokens(60))
        ledger.settle(second, "rejected", NOTHING, "429", 1.0)
        assert ledger.spending == Spending(2, tokens(60), tokens(60)) == Ledger(archive, Budget(candidates=1)).spending
        third = await begun(ledger, 0, tokens(60), idempotent=True)
        assert first.key == second.key == third.key
        ledger.answered(0, answer(25, third))
        assert ledger.spending.charge.tokens == 25
        assert (ledger.spending.calls, ledger.spending.held.tokens) == (3, 0)
        assert Ledger(archive, Budget(candidates=1)).spending.charge.tokens == 25

    play(main)


def test_without_idempotency_each_call_is_owed() -> None:
    """A lost call and the one made in its stead have keys of their own and may both be billed."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10))
        first = await begun(ledger, 0, tokens(60))
        ledger.settle(first, "lost", first.most, "", 0.0)
        second = await begun(ledger, 0, tokens(60))
        ledger.answered(0, answer(25, second))
        assert first.key != second.key
        assert ledger.spending.charge.tokens == 85

    play(main)


def test_a_call_left_open_by_an_earlier_session_is_held_and_waits() -> None:
    """After a kill the open call counts with its most, until an answer settles it."""

    async def main(archive: Archive) -> None:
        await begun(Ledger(archive, Budget(candidates=10)), 3, tokens(60))
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        assert (ledger.waits(3), ledger.waits(2), ledger.in_flight) == (True, False, 0)
        assert "60 used, 60 of them perhaps" in await refused(ledger, tokens(50))  # at once: nobody here waits for it
        ledger.answered(3, answer(10, archive.open_call(3)))
        assert ledger.spending == Spending(1, tokens(10), NOTHING)
        assert not ledger.waits(3)

    play(main)


def test_after_close_no_call_begins_and_those_in_flight_are_settled() -> None:
    """Who waits for room or pauses is told; who is in flight ends in order; closing twice changes nothing."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10, tokens=100))
        call = await begun(ledger, 0, tokens(60))
        waiting = asyncio.ensure_future(begun(ledger, 1, tokens(60)))
        pausing = asyncio.ensure_future(ledger.pause(60))
        await ticks(3)
        ledger.close()
        ledger.close()
        for task in (waiting, pausing, asyncio.ensure_future(begun(ledger, 2, tokens(1)))):
            with pytest.raises(ProposerError, match="the session is closing"):
                await task
        ledger.answered(0, answer(10, call))
        assert ledger.spending == Spending(1, tokens(10), NOTHING)
        assert len(archive.calls()) == 1

    play(main)


def test_a_call_that_has_room_does_not_begin_after_close() -> None:
    """Its room was given before the session closed, its turn came after: nothing is written down, nothing sent."""

    async def main(archive: Archive) -> None:
        ledger = Ledger(archive, Budget(candidates=10))
        async with ledger.reserved(tokens(1)) as reservation:
            ledger.close()
            with pytest.raises(ProposerError, match="closing"):
                ledger.begin(reservation, 5, "m", idempotent=False)
        assert archive.calls() == []

    play(main)


def test_answers_that_cost_nothing_settle_nothing() -> None:
    """An answer from a cache or a recording is written down and changes no spending."""

    async def main(archive: Archive) -> None:
        seen: list[Spending] = []
        ledger = Ledger(archive, Budget(candidates=10), seen.append)
        ledger.answered(0, answer(10, None))
        assert set(seen) == {Spending()}
        assert archive.answer(0) is not None

    play(main)


def test_the_watcher_sees_every_change() -> None:
    """Told at the start, when a call begins and when it ends."""

    async def main(archive: Archive) -> None:
        seen: list[Spending] = []
        ledger = Ledger(archive, Budget(candidates=10), seen.append)
        call = await begun(ledger, 0, tokens(60))
        ledger.answered(0, answer(10, call))
        assert [spending.charge.tokens for spending in seen] == [0, 60, 10]
        assert [spending.held.tokens for spending in seen] == [0, 60, 0]

    play(main)
