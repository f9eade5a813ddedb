"""The trusted side of the wall: keeps a zygote alive and opens candidates in it."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from evaluators.sandbox.launcher import Zygote, ZygoteDied
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import Session
from evaluators.verdict import InfrastructureError


class Sandbox:
    """Runs candidates, one at a time, each in a process of its own. A context manager; not thread-safe.

    To use several cores, make a sandbox for each.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._zygote: Zygote | None = Zygote()
        self._session: Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def tier(self) -> str:
        """Which isolation is active."""
        return "rlimits-only"

    @property
    def zygote_pid(self) -> int | None:
        """Process number of the present zygote; None once the sandbox is closed."""
        return None if self._zygote is None else self._zygote.pid

    def open(self, source: str, limits: Limits | None = None) -> Session:
        """Load a heuristic's source in a fresh process; an earlier session is closed.

        Raises:
            CandidateFault: the source is no Python, or failed while being loaded.
            InfrastructureError: no process could be made, twice.
        """
        self._leave_session()
        self._session = self._open(source, limits or self.limits)
        return self._session

    def close(self) -> None:
        """End everything this sandbox has started. Idempotent."""
        self._leave_session()
        if self._zygote is not None:
            self._zygote.close()
        self._zygote = None

    def _leave_session(self) -> None:
        """Close the session there may be; should its zygote be dead, the next `open` sees to that."""
        if self._session is not None:
            with suppress(InfrastructureError):
                self._session.close()
        self._session = None

    def _open(self, source: str, limits: Limits) -> Session:
        """A new session, in a new zygote if the present one is dead."""
        if self._zygote is not None:
            try:
                return Session(self._zygote, source, limits)
            except ZygoteDied:
                self._zygote.close()
        self._zygote = Zygote()
        return Session(self._zygote, source, limits)
