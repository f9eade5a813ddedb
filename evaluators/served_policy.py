"""A sealed policy in production: whatever it does, each question ends within its time, and serving goes on."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

import numpy as np

from engine_bridge.policy import CORE, EXTENSIONS, SCALAR_NAMES, Array, InvalidAnswer, View
from engine_bridge.vllm.fields import read_fields, records_of, values_of
from engine_bridge.vllm.guard import NoAnswer
from engine_bridge.vllm.settings import Settings
from evaluators.sandbox.cores import AnyCore
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import Session
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, InfrastructureError, Verdict

LOAD_SECONDS = 2.0
"""Wall time for running the file and for each function's first answer, when the engine starts."""
PERIOD = 600.0
"""Seconds in which `Settings.restarts` fresh starts are allowed."""
NOTHING = np.zeros(0)
FAULTS = (CandidateFault, InfrastructureError, OSError)
"""Whatever can happen to a question."""
FOREVER = 10**9
"""Seconds: a policy in service may compute as long as its engine runs, a little at a time."""


class ServedSealedPolicy:
    """A `ServedPolicy` whose source runs in a sandboxed process of its own.

    A fault that ends the process costs one answer; the next question finds a fresh one, `Settings.restarts` times in
    `PERIOD`. Beyond that the policy is not active until the period has passed.

    Raises:
        CandidateFault: the source is no policy, or failed while it was loaded.
        IsolationUnavailable: the machine cannot give `Settings.isolation`.
        InfrastructureError: the sandbox could not be started.
    """

    def __init__(self, source: str, settings: Settings) -> None:
        self.fields, self.scalars = read_fields(source)
        self.restarts = 0
        self._source = source
        self._records = records_of(self.fields, self.scalars)
        self._last: dict[str, tuple[bytes, Array]] = {}
        self._allowed = settings.restarts
        self._started: deque[float] = deque()
        self._limits = Limits(FOREVER, FOREVER, answer_seconds=settings.answer_ms / 1000)
        self._sandbox = Sandbox(self._limits, min_tier=settings.isolation, core=AnyCore)
        try:
            self._session: Session | None = self._open()
            self.functions = self._session.defined((*CORE, *EXTENSIONS))
            if not self.functions:
                raise CandidateFault(Verdict.bad_source, f"defines no function of a policy: {', '.join(CORE)}")
            self._warm_up()
        except BaseException:
            self._sandbox.close()
            raise

    @property
    def isolation(self) -> str:
        """The tier that is active."""
        return str(self._sandbox.tier)

    @property
    def active(self) -> bool:
        """Whether there is a process to ask, or may be a fresh one."""
        return self._session is not None or self._may_restart()

    def ask(self, function: str, view: View) -> Array:
        """The raw answer of one of `functions`; `view.vectors` holds the rows `fields`.

        The same question again has the same answer: that is what a policy is, and it is not put twice in a row.

        Raises:
            NoAnswer: there is none.
        """
        values = values_of(view, self.scalars)
        question = b"".join([value.tobytes() for value in values])
        last, answer = self._last.get(function, (b"", NOTHING))
        if question != last:
            try:
                session = self._session or self._restart()
                answer = session.ask(function, values, records=self._records)
            except FAULTS as error:
                raise self._no_answer(function, error) from error
            self._last[function] = question, answer
        return answer

    def post(self, function: str, view: View) -> None:
        """Put a question whose answer `collect` gives; nothing else may be asked until then.

        Raises:
            NoAnswer: it could not be put.
        """
        try:
            session = self._session or self._restart()
            session.post(function, values_of(view, self.scalars), records=self._records)
        except FAULTS as error:
            raise self._no_answer(function, error) from error

    def collect(self, function: str) -> Array:
        """The raw answer to what was posted.

        Raises:
            NoAnswer: there is none.
        """
        if self._session is None:
            raise NoAnswer("stopped", f"{function}: its process ended before it answered")
        try:
            return self._session.collect()
        except FAULTS as error:
            raise self._no_answer(function, error) from error

    def _no_answer(self, function: str, error: CandidateFault | InfrastructureError | OSError) -> NoAnswer:
        """What a question without an answer raises; a process that is gone is forgotten."""
        if not isinstance(error, CandidateFault):
            self._session = None
            return NoAnswer(str(Verdict.infrastructure_error), f"{function}: {error}")
        if self._session is not None and self._session.ended:
            self._session = None
        return NoAnswer(str(error.verdict), f"{function}: {error}")

    def close(self) -> None:
        """End the policy's process. Idempotent."""
        self._session = None
        self._allowed = 0
        self._sandbox.close()

    def _may_restart(self) -> bool:
        while self._started and time.monotonic() - self._started[0] > PERIOD:
            self._started.popleft()
        return len(self._started) < self._allowed

    def _restart(self) -> Session:
        """A fresh process, if that is allowed once more."""
        if not self._may_restart():
            raise NoAnswer("stopped", f"its process ended {self._allowed} times in {PERIOD / 60:g} minutes")
        self._started.append(time.monotonic())
        self.restarts += 1
        self._session = self._open()
        return self._session

    def _open(self) -> Session:
        session = self._sandbox.open(self._source, replace(self._limits, answer_seconds=LOAD_SECONDS))
        session.limits = self._limits
        session.forgiving = True
        return session

    def _warm_up(self) -> None:
        """Have each function answer once, so that the first request does not wait for what is done only once."""
        assert self._session is not None
        view = View(np.ones((len(self.fields), 2)), np.ones(len(SCALAR_NAMES)))
        for function in sorted(self.functions & {*CORE}):
            if self._session is None:
                return
            self._session.limits = replace(self._limits, answer_seconds=LOAD_SECONDS)
            try:
                self.ask(function, view)
            except InvalidAnswer:
                continue  # it will be counted when a request is at stake
            finally:
                if self._session is not None:
                    self._session.limits = self._limits
