"""Policies that are not trusted: each question of the protocol goes through the sandbox's interactive driver.

with Sandbox(limits) as sandbox, SealedPolicy(sandbox, source) as policy:
    simulate(workload, policy, settings, cost, strict=True)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from engine_bridge.policy import CORE, EXTENSIONS, Array, Asked, InvalidAnswer, View
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, Verdict

ANSWER_SECONDS = 1.0
"""Wall time for one answer, where the limits name none; generous, since a busy machine makes any answer late."""


class SealedPolicy:
    """A `Policy` whose source runs in a sandboxed process of its own, with a time limit for each answer.

    In search (`restarts=0`) the first fault of the candidate, a late answer included, ends everything: it passes as
    `CandidateFault` with its verdict. In service, a fault is an `InvalidAnswer`, so that the engine goes on without
    the answer, and the policy is opened again up to `restarts` times; what it remembered is lost.

    Raises (also from `ask`):
        CandidateFault: the source is no policy or failed; in service only from the constructor.
        InfrastructureError: the sandbox failed.
    """

    def __init__(self, sandbox: Sandbox, source: str, *, limits: Limits | None = None, restarts: int = 0) -> None:
        limits = limits or sandbox.limits
        if limits.answer_seconds is None:
            limits = replace(limits, answer_seconds=ANSWER_SECONDS)
        self._sandbox = sandbox
        self._source = source
        self._limits = limits
        self._restarts = restarts
        self._serves = restarts > 0
        self.faults = 0
        self._open()
        self.functions = self._asked.functions
        if not self.functions:
            self.close()
            raise CandidateFault(Verdict.bad_source, f"defines no function of a policy: {', '.join(CORE)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the present process of the policy has used."""
        return self._session.cpu_seconds

    def ask(self, function: str, view: View) -> Array:
        """The raw answer of one of `functions`."""
        try:
            return self._asked.ask(function, view)
        except CandidateFault as fault:
            if not self._serves:
                raise
            self.faults += 1
            self._reopen()
            raise InvalidAnswer(f"{function}: {fault}") from fault

    def close(self) -> None:
        """End the policy's process. Idempotent."""
        self._session.close()

    def _open(self) -> None:
        self._session = self._sandbox.open(self._source, self._limits)
        self._asked = Asked(self._session.ask, self._session.defined((*CORE, *EXTENSIONS)))

    def _reopen(self) -> None:
        """Start afresh, if that is allowed once more; else every question finds the session ended."""
        if self._restarts > 0:
            self._restarts -= 1
            self._open()
