"""The ledger: what calls may cost is reserved before they are made, and settled after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from discovery.budget import Budget, BudgetSpent, Spending
from discovery.proposers.base import NOTHING, Answer, Call, Charge, Outcome, ProposerError, Reservation

NOT_DONE: tuple[Outcome, ...] = ("rejected", "unreachable")
"""How a call ends that the endpoint did no work for."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call in the journal. `outcome` is None if it never ended; `charge`: what it cost, or may have cost."""

    number: int
    key: str
    outcome: Outcome | None
    charge: Charge


class Journal(Protocol):
    """Where calls are written down."""

    def calls(self) -> Sequence[CallRecord]:
        """All calls, in order."""

    def call_key(self, number: int, model: str, *, idempotent: bool) -> str:
        """The Idempotency-Key for the next call: that of the last one to `model`, if that may be sent again."""

    def add_call(self, number: int, model: str, key: str, most: Charge) -> int:
        """Write a call down before it is made; returns its number."""

    def settle(self, call: int, outcome: Outcome, charge: Charge, detail: str, seconds: float) -> None:
        """Write down how a call ended that brought no answer."""

    def add_answer(self, number: int, answer: Answer) -> None:
        """Write an answer down, and that its call is settled, in one step."""


class Ledger:
    """Keeps what is spent within the budget.

    A call gets room only if all that is settled, in flight, of unknown outcome and reserved, plus the most it may
    cost, is within the budget. If it is not, it waits for calls in flight to end for less than was reserved.
    """

    def __init__(self, journal: Journal, budget: Budget, watch: Callable[[Spending], None] = lambda _: None) -> None:
        """`watch` is told what is spent whenever that changes."""
        self._journal = journal
        self._budget = budget
        self._watch = watch
        self._charges: dict[str, tuple[Charge, bool]] = {}
        self._before: dict[int, tuple[Charge, bool]] = {}
        self._calls = 0
        self._total, self._unknown = NOTHING, NOTHING
        self._reserved: set[Reservation] = set()
        self._in_flight: set[int] = set()
        self._open: set[int] = set()
        self._queue = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._spent = ""
        for record in journal.calls():
            self._calls += record.outcome != "unreachable"
            if record.outcome not in NOT_DONE:
                self._charge(record.key, record.charge, known=record.outcome not in (None, "lost"))
            (self._open.discard if record.outcome else self._open.add)(record.number)
        self._tell()

    @property
    def in_flight(self) -> int:
        """Calls that are being made."""
        return len(self._in_flight)

    @property
    def spending(self) -> Spending:
        """What is spent and held, calls in flight at the most they may cost."""
        return Spending(self._calls, self._total, self._unknown)

    @asynccontextmanager
    async def reserved(self, most: Charge) -> AsyncIterator[Reservation]:
        """Room for one call; see `proposers.base.Ledger`."""
        reservation = Reservation(most)
        async with self._queue:  # first come, first served: what was asked for first is answered first
            await self._wait_for_room(most)
            self._reserved.add(reservation)
        try:
            yield reservation
        finally:
            self._release(reservation)

    def begin(self, reservation: Reservation, number: int, model: str, *, idempotent: bool) -> Call:
        """Write a call down; the room reserved for it passes to it. See `proposers.base.Ledger`."""
        self._check_open()  # again: the call may have waited for its turn since it got its room
        self._check_time()
        most = reservation.most
        key = self._journal.call_key(number, model, idempotent=idempotent)
        call = Call(self._journal.add_call(number, model, key, most), number, key, most)
        self._in_flight.add(call.id)
        self._open.add(number)
        self._calls += 1
        self._before[call.id] = self._charges.get(key, (NOTHING, True))
        self._charge(key, most, known=False)
        self._release(reservation)
        self._tell()
        return call

    def waits(self, number: int | None = None) -> bool:
        """Whether a call for candidate `number`, or for any, was begun, now or in an earlier session, and not ended."""
        return bool(self._open) if number is None else number in self._open

    def leave(self, call: Call) -> None:
        """The call goes on when this session is over; nobody waits for it here."""
        self._in_flight.discard(call.id)
        self._changed.set()

    def settle(self, call: Call, outcome: Outcome, charge: Charge, detail: str, seconds: float) -> None:
        """Write down how a call ended that brought no answer."""
        self._journal.settle(call.id, outcome, charge, detail, seconds)
        self._calls -= outcome == "unreachable"
        known = outcome != "lost"
        if outcome in NOT_DONE:  # but an earlier one under its key may have been
            charge, known = self._before[call.id]
        self._end(call, charge, known=known)

    def answered(self, number: int, answer: Answer) -> None:
        """Write an answer down; one that was paid for settles its call."""
        self._journal.add_answer(number, answer)
        if answer.call is not None:
            self._end(answer.call, answer.charge, known=True)

    async def pause(self, seconds: float) -> None:
        """Wait; see `proposers.base.Ledger`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._budget.left)):
                await self._closing.wait()
        self._check_open()
        self._check_time()

    def close(self) -> None:
        """Let no further call begin; those in flight go on."""
        self._closing.set()
        self._changed.set()

    async def _wait_for_room(self, most: Charge) -> None:
        while True:
            self._check_open()
            if self._spent:
                raise BudgetSpent(self._spent)
            held = sum((reservation.most for reservation in self._reserved), NOTHING)
            spending = Spending(self._calls + len(self._reserved), self._total + held, self._unknown)
            if not (reason := self._budget.refuses(spending, most)):
                return
            if not self._in_flight and not self._reserved:
                self._spent = reason  # for all: what is asked for later may be cheaper, but comes too late to be judged
                raise BudgetSpent(reason)
            self._changed.clear()
            await self._changed.wait()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise ProposerError("the session is closing: no further call is made")

    def _check_time(self) -> None:
        if reason := self._budget.time_is_up():
            raise BudgetSpent(reason)

    def _release(self, reservation: Reservation) -> None:
        self._reserved.discard(reservation)
        self._changed.set()

    def _end(self, call: Call, charge: Charge, *, known: bool) -> None:
        self._in_flight.discard(call.id)
        self._before.pop(call.id, None)
        self._open.discard(call.number)
        self._charge(call.key, charge, known=known)
        self._changed.set()
        self._tell()

    def _charge(self, key: str, charge: Charge, *, known: bool) -> None:
        """What is owed under a key; a call sent again under the same key is owed once."""
        before, was_known = self._charges.get(key, (NOTHING, True))
        self._charges[key] = (charge, known)
        self._total += charge - before
        self._unknown += (NOTHING if known else charge) - (NOTHING if was_known else before)

    def _tell(self) -> None:
        self._watch(self.spending)
