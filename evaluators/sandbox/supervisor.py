"""The trusted side of the wall: keeps a zygote alive and opens candidates in it."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from evaluators.sandbox.cores import Core, SharedCore
from evaluators.sandbox.launcher import Zygote, ZygoteDied
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import Session
from evaluators.sandbox.tiers import ALL, IsolationUnavailable, Layer, Tier, check, tier_of
from evaluators.verdict import InfrastructureError


class Sandbox:
    """Runs candidates, one at a time, each in a process of its own. A context manager; not thread-safe.

    To use several cores, make a sandbox for each. `layers` are those to be used where the machine has them: all,
    but for tests of what the others are worth. `core` chooses where a candidate runs.

    Raises:
        IsolationUnavailable: the machine cannot give the tier `min_tier`.
        InfrastructureError: the sandbox could not be started.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        min_tier: Tier | str = Tier.rlimits_only,
        layers: Layer = ALL,
        core: Core = SharedCore,
    ) -> None:
        self.limits = limits or Limits()
        self._wanted = layers
        self._core = core
        self._zygote: Zygote | None = None
        self._tier = Tier(min_tier)
        self._zygote = self._start()
        self._tier = tier_of(self._zygote.layers)
        self._session: Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def tier(self) -> Tier:
        """Which isolation is active; a zygote that replaces another one has it too, or is refused."""
        return self._tier

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
                return Session(self._zygote, source, limits, core=self._core)
            except ZygoteDied:
                self._zygote.close()
        try:
            self._zygote = self._start()
        except IsolationUnavailable as error:  # at the start it was available
            raise InfrastructureError(str(error)) from error
        return Session(self._zygote, source, limits, core=self._core)

    def _start(self) -> Zygote:
        """A new zygote, of the tier that there was, or at first of the least that is accepted."""
        zygote = Zygote(self._wanted)
        try:
            check(tier_of(zygote.layers), self._tier)
        except IsolationUnavailable:
            zygote.close()
            raise
        return zygote
