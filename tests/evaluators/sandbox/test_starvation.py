"""Time that other programs took is not the candidate's; time that it slept is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import PATIENCE, Session
from evaluators.sandbox.starvation import core_wait_seconds
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, Verdict

HOGS = 8
BUSY = """
import time
def f(seconds):
    end = time.process_time() + seconds[0]
    while time.process_time() < end: pass
    return seconds
"""
NAPS = "import time\ndef f(seconds):\n    while True: time.sleep(seconds[0])"


def counts() -> bool:
    """Whether this kernel counts waits: of a process that has run at all, it has counted something."""
    return core_wait_seconds(os.getpid()) > 0


pytestmark = pytest.mark.skipif(not counts(), reason="the kernel does not say how long a thread waits for a core")


@pytest.fixture(scope="module")
def crowded() -> Iterator[int]:
    """A core with busy processes on it, each of a session of its own: some kernels share cores among sessions."""
    core = max(os.sched_getaffinity(0))
    with ExitStack() as stack:
        for _ in range(HOGS):
            hog = stack.enter_context(
                subprocess.Popen(["sh", "-c", "ulimit -t 60; while :; do :; done"], start_new_session=True)
            )
            stack.callback(hog.kill)
            os.sched_setaffinity(hog.pid, {core})
        yield core


def opened(sandbox: Sandbox, source: str, wall_seconds: float, core: int) -> Session:
    """A session whose candidate is kept on a core."""
    session = sandbox.open(source, Limits(cpu_seconds=5, wall_seconds=wall_seconds))
    os.sched_setaffinity(session.pid, {core})
    return session


def seconds_to_answer(session: Session, argument: float) -> float:
    """How long one answer takes."""
    asked = time.monotonic()
    session.ask("f", [np.array([argument])])
    return time.monotonic() - asked


def seconds_to_timeout(session: Session, argument: float) -> float:
    """How long the candidate is waited for in vain."""
    asked = time.monotonic()
    with pytest.raises(CandidateFault) as caught:
        session.ask("f", [np.array([argument])])
    assert caught.value.verdict is Verdict.wall_timeout
    assert f"within {session.limits.wall_seconds:g} s in all" in caught.value.detail
    return time.monotonic() - asked


def test_a_starved_candidate_gets_its_time(sandbox: Sandbox, crowded: int) -> None:
    """A ninth of a core is enough, though the answer takes longer than the limit."""
    with opened(sandbox, BUSY, 0.6, crowded) as session:
        assert seconds_to_answer(session, 0.1) > 0.6


def test_a_starved_asker_is_not_held_against_the_candidate(sandbox: Sandbox, crowded: int) -> None:
    """Many short questions take longer than the limit, as who asks them waits for a core each time."""
    home = os.sched_getaffinity(0)
    with opened(sandbox, BUSY, 0.5, crowded) as session:
        os.sched_setaffinity(0, {crowded})
        try:
            waited = 0.0
            while waited < 1.5:
                waited += seconds_to_answer(session, 0.001)
        finally:
            os.sched_setaffinity(0, home)


def test_a_candidate_that_sleeps_is_stopped_at_the_limit(sandbox: Sandbox, crowded: int) -> None:
    """On a crowded core as on any other: who sleeps waits for no core."""
    with opened(sandbox, NAPS, 0.5, crowded) as session:
        assert 0.4 < seconds_to_timeout(session, 60) < 2.5


def test_patience_ends(sandbox: Sandbox, crowded: int) -> None:
    """A candidate that naps, and waits for a core after every nap, is stopped in the end."""
    with opened(sandbox, NAPS, 0.2, crowded) as session:
        assert 0.1 < seconds_to_timeout(session, 0.001) < PATIENCE * 0.2 + 2


def test_where_the_kernel_says_nothing_nothing_is_added() -> None:
    """A process that is not there has waited for nothing."""
    assert core_wait_seconds(2**30) == 0
