from __future__ import annotations

import os

import numpy as np
import pytest

from evaluators.sandbox.cores import PERIOD, AnyCore, Core, SharedCore, core_of_thread
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault

pytestmark = pytest.mark.skipif(
    core_of_thread() is None or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that lets choose",
)
ECHO = "def f(x):\n    if len(x) > 1: raise ValueError\n    return x\n"


def ask(core: Core, times: int, *, ending: str = "close") -> tuple[set[int], set[int], set[int]]:
    """Cores of this thread and of the candidate after so many questions, and of this thread after the session."""
    with Sandbox(core=core) as sandbox:
        session = sandbox.open(ECHO)
        for _ in range(times - 1):  # loading the source was the first
            session.ask("f", [np.zeros(1)])
        ours, theirs = os.sched_getaffinity(0), os.sched_getaffinity(session.pid)
        if ending == "close":
            session.close()
        else:
            with pytest.raises(CandidateFault):
                session.ask("f", [np.zeros(2)])
        return ours, theirs, os.sched_getaffinity(0)


@pytest.mark.parametrize("ending", ["close", "fault"])
def test_who_asks_often_shares_a_core_until_the_end(ending: str) -> None:
    """After one period both are on the same single core; however the session ends, this thread is free again."""
    before = os.sched_getaffinity(0)
    ours, theirs, after = ask(SharedCore, PERIOD, ending=ending)
    assert len(ours) == 1
    assert theirs == ours
    assert after == before


@pytest.mark.parametrize(
    ("core", "times"), [(SharedCore, PERIOD - 1), (SharedCore, 2 * PERIOD - 1), (AnyCore, 2 * PERIOD)]
)
def test_this_thread_is_free_before_and_between(core: Core, times: int) -> None:
    """Before the first period, in the last turn of each, and where it is not wanted, nothing holds this thread."""
    before = os.sched_getaffinity(0)
    ours, _, after = ask(core, times)
    assert ours == before
    assert after == before


def test_where_a_core_is_shared_with_nobody_the_candidate_may_run_anywhere() -> None:
    """However often it is asked; and it is of the class that never preempts."""
    home = os.sched_getaffinity(0)
    with Sandbox(core=AnyCore) as sandbox:
        session = sandbox.open(ECHO)
        for _ in range(2 * PERIOD):
            session.ask("f", [np.zeros(1)])
        assert os.sched_getaffinity(session.pid) == home
        assert os.sched_getscheduler(session.pid) == os.SCHED_BATCH
