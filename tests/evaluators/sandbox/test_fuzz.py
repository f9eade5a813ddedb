"""Whatever bytes a candidate writes, the supervisor takes an answer from them or names a fault; nothing else."""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluators.sandbox import wire
from evaluators.sandbox.control import Reply
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import Session
from evaluators.verdict import DETAIL_LENGTH, CandidateFault, Verdict

ANSWER = wire.pack_frame(wire.ANSWER, 1, wire.pack_array(np.array([2, 0, 1])))
FAULT = wire.pack_frame(wire.FAULT, 1, wire.pack_fault("exception", "ValueError: `no`\n"))
OWN = {Verdict.protocol_error, *(Verdict(verdict) for verdict in wire.FAULTS)}


class Mouth:
    """In place of a zygote: a candidate that has loaded, and then says what a test has it say."""

    def fork(self, limits: Limits, questions: int, answers: int, source: int) -> int:
        """Answer the first question in advance."""
        self.answers = os.dup(answers)
        os.write(self.answers, wire.pack_frame(wire.DONE, 0))
        self.questions = os.dup(questions)
        return os.getpid()

    def say(self, data: bytes) -> None:
        """Write and end."""
        with suppress(BlockingIOError):
            os.set_blocking(self.answers, False)
            os.write(self.answers, data)
        os.close(self.answers)

    def reap(self, grace: float = 0.0) -> Reply:
        """As of a child that has exited with status 0."""
        os.close(self.questions)
        return Reply(0)


def hear(data: bytes) -> np.ndarray | CandidateFault:
    """What the supervisor takes from these bytes; any other exception is a finding."""
    mouth = Mouth()
    # The CPU time that counts here is that of this very process, in which other tests have run.
    session = Session(mouth, "", Limits(cpu_seconds=1e6, wall_seconds=5))  # type: ignore[arg-type]
    mouth.say(data)
    try:
        with session:
            return session.ask("f", [])
    except CandidateFault as fault:
        assert fault.verdict in OWN
        assert len(fault.detail) <= DETAIL_LENGTH and fault.detail.isprintable() and "`" not in fault.detail
        return fault


def is_fault(heard: np.ndarray | CandidateFault, verdict: Verdict) -> bool:
    """Whether it is a fault of this kind."""
    return isinstance(heard, CandidateFault) and heard.verdict is verdict


@given(st.binary(max_size=200))
@example(b"")
@example(b"HEUR")
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_no_answer(data: bytes) -> None:
    """Bytes that were not made to be a frame are a breach of the protocol."""
    assert is_fault(hear(data), Verdict.protocol_error)


@given(st.sampled_from([ANSWER, FAULT]), st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_frames_are_read_or_refused(frame: bytes, data: st.DataObject) -> None:
    """A valid frame with bytes changed, dropped or put in is an answer of the same size, or a fault with a name."""
    mutated = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1)) if mutated else 0
        kind = data.draw(st.sampled_from(["change", "drop", "insert"]))
        if kind == "insert" or not mutated:
            mutated.insert(place, data.draw(st.integers(0, 255)))
        elif kind == "drop":
            del mutated[place]
        else:
            mutated[place] = data.draw(st.integers(0, 255))
    heard = hear(bytes(mutated))
    assert isinstance(heard, CandidateFault) or heard.nbytes <= len(mutated)


@given(st.integers(0, len(ANSWER) - 1))
def test_every_cut_is_noticed(length: int) -> None:
    """No beginning of an answer passes for one."""
    assert is_fault(hear(ANSWER[:length]), Verdict.protocol_error)


@given(st.binary(min_size=1, max_size=50))
def test_every_appendix_is_noticed(data: bytes) -> None:
    """An answer is all there is, or it is none; a second answer least of all."""
    assert is_fault(hear(ANSWER + data), Verdict.protocol_error)
    assert is_fault(hear(ANSWER + ANSWER), Verdict.protocol_error)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_lying_headers_are_refused(kind: int, sequence: int, length: int) -> None:
    """Another kind, number or length than is due; nothing of the size that a header claims is set aside."""
    heard = hear(wire.HEADER.pack(wire.MAGIC, kind, sequence, length) + bytes(10))
    assert is_fault(heard, Verdict.protocol_error)


def test_what_is_said_properly_is_heard() -> None:
    """The stage of these tests is sound: a proper answer passes, a proper fault keeps its kind."""
    assert np.array_equal(hear(ANSWER), [2, 0, 1])
    assert is_fault(hear(FAULT), Verdict.exception)
