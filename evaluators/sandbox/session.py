"""One opened candidate: questions go in, checked frames come out, and limits hold in between."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from numpy.typing import NDArray

from evaluators.sandbox import wire
from evaluators.sandbox.cores import Core, SharedCore
from evaluators.sandbox.launcher import Zygote
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.sealed import sealed
from evaluators.sandbox.starvation import Starvation
from evaluators.verdict import CandidateFault, InfrastructureError, Verdict

MAX_SOURCE = 256 << 10
FORGIVEN = (Verdict.exception, Verdict.invalid_decision)
"""Faults after which the candidate's process can answer another question."""
READ = 1 << 13
"""Bytes read at once, enough for most answers: to make room for many takes longer than to read a few."""
PATIENCE = 10
"""How many times its wall limit a candidate may take, as far as the rest is time without a core.

Beside a program of nice −15, one of nice 0 gets one thirtieth of a core; the CPU limit fits about 50 times into this.
"""
GRACE = 0.2
"""Seconds a child that closed its pipe gets to end by itself, so that we learn how it ended."""


class Session:
    """A candidate in a process of its own; made by `Sandbox.open`, ended by `close` or by its first fault."""

    def __init__(self, zygote: Zygote, source: str, limits: Limits, *, core: Core = SharedCore) -> None:
        data = check_source(source)
        self.limits = limits
        self.forgiving = False
        """Whether questions go on after one of `FORGIVEN`: in service, never in search."""
        self._zygote = zygote
        self._sequence = -1
        self._waited = 0.0
        self._look_at = 0.0
        self._cpu_seconds = 0.0
        self._ended: Exception | None = None
        self._connect(data)
        self._core = core(self._pid)
        self._starvation = Starvation(self._pid)
        self._exchange(wire.LOAD, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process number of the candidate's process, valid until the session ends."""
        return self._pid

    @property
    def ended(self) -> bool:
        """Whether the candidate's process is gone."""
        return self._ended is not None

    @property
    def cpu_seconds(self) -> float:
        """CPU time the candidate has used, measured from outside; other systems: the time waited for it."""
        if self._ended is None:
            with suppress(OSError):  # it died with its zygote, as its pipe will tell
                self._cpu_seconds = process_cpu_seconds(self._pid) if sys.platform == "linux" else self._waited
        return self._cpu_seconds

    def ask(
        self, function: str, arrays: Sequence[NDArray[Any]], *, dispatch: bool = False, records: str = ""
    ) -> NDArray[Any]:
        """The raw answer of the candidate's `function`: one array of int64 or float64.

        See `problems.base.Ask`. Arrays of floats arrive as float64, of integers or booleans as int64; with
        `dispatch` all arrive as float64. `records` describes what is made of them: see `wire.parse_records`.

        Raises:
            CandidateFault: the candidate failed; the session is over, and asking again raises the same fault.
            InfrastructureError: the sandbox failed.
            ValueError: the question cannot be put.
        """
        if dispatch and (len(arrays) == 0 or {array.shape for array in arrays} != {(len(arrays[0]),)}):
            raise ValueError(f"dispatch needs vectors of one length, got {[array.shape for array in arrays]}")
        if records and (dispatch or len(arrays) != wire.count_values(records)):
            raise ValueError(f"{len(arrays)} arrays do not make '{records}'{' for dispatch' * dispatch}")
        kind = wire.DISPATCH if dispatch else wire.CALL
        self._put(kind, wire.pack_question(function, arrays, records))
        return self._unpack(self._get(kind))

    def post(self, function: str, arrays: Sequence[NDArray[Any]], *, records: str) -> None:
        """Put a question as `ask` does and leave its answer to `collect`, before which nothing else may be asked."""
        self._put(wire.CALL, wire.pack_question(function, arrays, records))

    def collect(self) -> NDArray[Any]:
        """The answer to the question of the last `post`; the time for it starts now."""
        if self._ended is not None:
            raise self._ended
        self._start_clock()
        return self._unpack(self._get(wire.CALL, there=True))

    def _unpack(self, payload: bytes) -> NDArray[Any]:
        try:
            return wire.unpack_answer(payload)
        except wire.WireError as error:
            raise self._fault(Verdict.protocol_error, str(error)) from None

    def require(self, function: str) -> None:
        """Raise `CandidateFault` (bad_source) unless the candidate defines `function`."""
        self._exchange(wire.REQUIRE, wire.pack_question(function, []))

    def defined(self, functions: Sequence[str]) -> frozenset[str]:
        """Which of `functions` the candidate defines.

        Raises:
            CandidateFault: the candidate failed.
            InfrastructureError: the sandbox failed.
        """
        payload = self._exchange(wire.DEFINED, wire.pack_question(",".join(functions), []))
        try:
            answer = wire.unpack_answer(payload)
        except wire.WireError as error:
            raise self._fault(Verdict.protocol_error, str(error)) from None
        if answer.shape != (len(functions),):
            raise self._fault(Verdict.protocol_error, f"{answer.shape} answers to {len(functions)} names")
        return frozenset(name for name, found in zip(functions, answer.tolist(), strict=True) if found)

    def close(self) -> None:
        """End the candidate's process. Idempotent."""
        if self._ended is None:
            self._end(RuntimeError("the session is closed"))

    def _connect(self, source: bytes) -> None:
        """Fork the child with a pipe each way and its source."""
        code = sealed(source)
        their_questions, self._questions = os.pipe()
        self._answers, their_answers = os.pipe()
        for descriptor in (self._questions, self._answers):
            os.set_blocking(descriptor, False)
        try:
            self._pid = self._zygote.fork(self.limits, their_questions, their_answers, code)
        except InfrastructureError:
            self._close_pipes()
            raise
        finally:
            os.close(their_questions)
            os.close(their_answers)
            os.close(code)
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._questions, select.POLLOUT)
        self._readable.register(self._answers, select.POLLIN)

    def _exchange(self, kind: int, payload: bytes) -> bytes:
        """Put one question; return the payload of a successful answer."""
        self._put(kind, payload)
        return self._get(kind)

    def _put(self, kind: int, payload: bytes) -> None:
        """Put one question."""
        if self._ended is not None:
            raise self._ended
        self._sequence += 1
        frame = wire.pack_frame(kind, self._sequence, payload)
        self._core.turn()
        self._start_clock()
        self._write(frame)

    def _start_clock(self) -> None:
        self._asked = time.monotonic()
        if self.limits.answer_seconds is not None:
            self._look_at = min(self._look_at, self._asked + self.limits.answer_seconds)

    def _get(self, kind: int, *, there: bool = False) -> bytes:
        """The payload of a successful answer to the question that was put; `there`: it has probably come already."""
        try:
            answer_kind, answer = self._read(there)
            if answer_kind == wire.FAULT:
                verdict, text = wire.unpack_fault(answer)
                if self.forgiving and verdict in FORGIVEN:
                    raise CandidateFault(Verdict(verdict), text)
                raise self._fault(Verdict(verdict), text)
            if answer_kind != (wire.DONE if kind in (wire.LOAD, wire.REQUIRE) else wire.ANSWER):
                raise wire.WireError(f"an answer of kind {answer_kind}")
        except wire.WireError as error:
            raise self._fault(Verdict.protocol_error, str(error)) from None
        self._waited += time.monotonic() - self._asked
        return answer

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(self._questions, view) :]
            except BlockingIOError:
                self._wait(self._writable)
            except BrokenPipeError:
                raise self._death() from None

    def _read(self, there: bool) -> tuple[int, bytes]:
        """Kind and payload of the child's frame, which must be all it has written."""
        data = self._read_some(there)
        while len(data) < wire.HEADER.size:
            data += self._read_some()
        kind, length = wire.unpack_header(data, self._sequence)
        if length + wire.HEADER.size > len(data):
            data = self._read_rest(bytearray(data), length + wire.HEADER.size)
        if len(data) != wire.HEADER.size + length:
            raise wire.WireError(f"{len(data) - wire.HEADER.size - length} bytes after the frame")
        return kind, data[wire.HEADER.size :]

    def _read_rest(self, data: bytearray, length: int) -> bytes:
        while len(data) < length:
            data += self._read_some(size=max(READ, length - len(data) + 1))
        return bytes(data)

    def _read_some(self, there: bool = False, size: int = READ) -> bytes:
        if not there:
            self._wait(self._readable)
        try:
            data = os.read(self._answers, size)
        except BlockingIOError:
            return self._read_some(size=size)
        if not data:
            raise self._death()
        return data

    def _wait(self, poll: select.poll) -> None:
        """Until there is something to read or room to write, or a limit ends first."""
        while True:
            left = self._look_at - time.monotonic()
            if left > 0 and poll.poll(math.ceil(1000 * left)):
                return
            self._look_at = time.monotonic() + self._least_left()

    def _least_left(self) -> float:
        """Seconds within which no limit can be passed: the CPU clock of one thread is no faster than ours."""
        limits = self.limits
        elapsed = time.monotonic() - self._asked
        cpu_left = limits.cpu_seconds - self.cpu_seconds
        wall_left = self._wall_left(elapsed)
        answer_left = math.inf if limits.answer_seconds is None else limits.answer_seconds - elapsed
        if cpu_left <= 0:
            raise self._fault(Verdict.cpu_limit, f"more than {limits.cpu_seconds:g} s of CPU time")
        if wall_left <= 0:
            raise self._fault(Verdict.wall_timeout, self._too_late())
        if answer_left <= 0:
            raise self._fault(Verdict.wall_timeout, f"no answer within {limits.answer_seconds:g} s")
        return min(cpu_left, wall_left, answer_left)

    def _wall_left(self, elapsed: float) -> float:
        """Seconds of wall time left; what other programs took of it is added when the limit is passed, not before."""
        left = self.limits.wall_seconds - self._waited - elapsed
        return left if left > 0 else left + self._forgone()

    def _forgone(self) -> float:
        """Seconds without a core that do not count."""
        return min(self._starvation.seconds, (PATIENCE - 1) * self.limits.wall_seconds)

    def _too_late(self) -> str:
        waits = round(self._forgone(), 1)
        beside = f", {waits:g} s of waiting for a core not counted" if waits else ""
        return f"no answer within {self.limits.wall_seconds:g} s in all{beside}"

    def _fault(self, verdict: Verdict, detail: str) -> CandidateFault:
        """End the session with a fault."""
        fault = CandidateFault(verdict, detail)
        self._end(fault)
        return fault

    def _death(self) -> CandidateFault:
        """End the session of a child that has closed its pipe, and say how the child ended."""
        status, killed = self._end(EOFError(), GRACE)
        fault = CandidateFault(*describe_death(status, killed, self.limits))
        self._ended = fault
        return fault

    def _end(self, reason: Exception, grace: float = 0.0) -> tuple[int, bool]:
        """Reap the child and close the pipes; later questions raise `reason`."""
        self._ended = reason
        self._core.end()
        self._close_pipes()
        try:
            ended = self._zygote.reap(grace)
        except InfrastructureError as error:
            self._ended = error
            raise
        self._cpu_seconds = ended.cpu_seconds
        return ended.number, ended.killed

    def _close_pipes(self) -> None:
        os.close(self._questions)
        os.close(self._answers)


def check_source(source: str) -> bytes:
    """The source as bytes, if it is fit to be passed on.

    Raises:
        CandidateFault: `bad_source`.
    """
    try:
        data = source.encode("utf-8", "strict")
    except UnicodeEncodeError as error:
        raise CandidateFault(Verdict.bad_source, f"not UTF-8 at character {error.start}") from None
    if b"\0" in data:
        raise CandidateFault(Verdict.bad_source, "holds a NUL character")
    if len(data) > MAX_SOURCE:
        raise CandidateFault(Verdict.bad_source, f"{len(data)} bytes long; at most {MAX_SOURCE} are read")
    return data


def process_cpu_seconds(pid: int) -> float:
    """CPU time of another process, by its Linux CPU clock (`clock_getcpuclockid(3)`), ended or not."""
    return time.clock_gettime((~pid << 3) | 2)


def describe_death(status: int, killed: bool, limits: Limits) -> tuple[Verdict, str]:
    """Verdict and text for a child that ended with wait status `status` in place of an answer."""
    if killed:
        return Verdict.protocol_error, "closed its pipe without an answer"
    if not os.WIFSIGNALED(status):
        return Verdict.protocol_error, f"ended without an answer, with exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return Verdict.cpu_limit, f"more than {limits.cpu_seconds:g} s of CPU time"
    if number == signal.SIGSYS:
        return Verdict.policy_violation, "asked the kernel for more than memory and time: a file, a process, a network"
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return Verdict.crash, f"killed by {name}"
