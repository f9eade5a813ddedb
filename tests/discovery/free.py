"""A ledger for proposers that must not need one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from discovery.proposers.base import Call, Charge, Outcome, Reservation


class Free:
    """Refuses everything that costs."""

    def reserved(self, most: Charge) -> AbstractAsyncContextManager[Reservation]:
        """No room."""
        raise AssertionError("this proposer must not make calls")

    def begin(self, reservation: Reservation, number: int, model: str, *, idempotent: bool) -> NoReturn:
        """No call."""
        raise AssertionError("this proposer must not make calls")

    def settle(self, call: Call, outcome: Outcome, charge: Charge, detail: str, seconds: float) -> None:
        """No call."""
        raise AssertionError("this proposer must not make calls")

    def waits(self, number: int | None = None) -> bool:
        """Nothing was ever asked."""
        return False

    def leave(self, call: Call) -> None:
        """No call."""
        raise AssertionError("this proposer must not make calls")

    async def pause(self, seconds: float) -> None:
        """No waiting either."""
        raise AssertionError("this proposer must not wait")
