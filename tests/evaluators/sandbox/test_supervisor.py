"""Processes come and go as the supervisor says, and nothing stays behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, InfrastructureError

IDENTITY = "def f(x): return x"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def children(pid: int) -> list[int]:
    """Process numbers of the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def gone(pid: int, seconds: float = 5) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_dead_zygote_is_replaced() -> None:
    """Killing the zygote between candidates loses none."""
    with Sandbox() as sandbox:
        for _ in range(2):
            with sandbox.open(IDENTITY) as session:
                assert session.ask("f", [np.array([7])]) == [7]
            os.kill(sandbox.zygote_pid, signal.SIGKILL)


def test_a_zygote_that_dies_under_a_candidate_is_our_fault() -> None:
    """The candidate gets no verdict; the next attempt finds a new zygote."""
    with Sandbox() as sandbox:
        session = sandbox.open(IDENTITY)
        os.kill(sandbox.zygote_pid, signal.SIGKILL)
        time.sleep(0.05)
        with pytest.raises(InfrastructureError):
            session.ask("f", [np.array([1])])
        with sandbox.open(IDENTITY) as session:
            assert session.ask("f", [np.array([1])]) == [1]


@linux
@pytest.mark.parametrize("answer_seconds", [None, 5])
def test_a_zygote_killed_during_an_answer_is_our_fault(answer_seconds: float | None) -> None:
    """Its candidate dies with it, in the middle of whatever it did, and gets no verdict for that."""
    with Sandbox() as sandbox:
        session = sandbox.open("def f(x):\n    while True: pass", Limits(answer_seconds=answer_seconds))
        threading.Timer(0.1, os.kill, (sandbox.zygote_pid, signal.SIGKILL)).start()
        with pytest.raises(InfrastructureError):
            session.ask("f", [np.array([1])])
        assert gone(session.pid)


@linux
def test_closing_ends_all() -> None:
    """Zygote and candidate are gone when, or soon after, their sandbox is closed."""
    with Sandbox() as sandbox:
        session = sandbox.open(IDENTITY)
        pids = [sandbox.zygote_pid, session.pid]
    assert all(gone(pid) for pid in pids if pid is not None)


@linux
def test_nothing_outlives_a_killed_supervisor() -> None:
    """SIGKILL of the supervisor ends the zygote and a candidate in an endless loop."""
    program = (
        "import numpy as np\n"
        "from evaluators.sandbox.supervisor import Sandbox\n"
        "sandbox = Sandbox()\n"
        "session = sandbox.open('def f(x):\\n    while True: pass')\n"
        "print(sandbox.zygote_pid, session.pid, flush=True)\n"
        "session.ask('f', [np.zeros(1)])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        time.sleep(0.1)
        supervisor.kill()
    assert len(pids) == 2 and all(gone(pid) for pid in pids)


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="a zygote does not let its own user look into it")
def test_candidates_leave_nothing() -> None:
    """After hundreds of candidates of all kinds there are as many descriptors and processes as before."""
    sources = [IDENTITY, "1 / 0", "import os\nos._exit(1)", "def f(:", "def f(x): raise SystemExit"]
    with Sandbox() as sandbox:
        sandbox.open(IDENTITY).close()
        gc.collect()  # what earlier tests have left must not go in between
        zygote_fds = descriptors(sandbox.zygote_pid)
        own_fds = descriptors(os.getpid())
        for source in sources * 40:
            with suppress(CandidateFault), sandbox.open(source) as session:
                session.ask("f", [np.array([1])])
        assert descriptors(os.getpid()) == own_fds
        assert descriptors(sandbox.zygote_pid) == zygote_fds
        assert children(sandbox.zygote_pid) == []


def test_cpu_time_is_measured_from_outside() -> None:
    """A candidate that says it took no time is charged what the kernel has counted."""
    source = """
import time
from contextlib import suppress
def f(x):
    time.process_time = time.perf_counter = lambda: 0.0
    end = time.monotonic() + 0.2
    while time.monotonic() < end: pass
    return x
"""
    with Sandbox() as sandbox, sandbox.open(source) as session:
        before = session.cpu_seconds
        session.ask("f", [np.array([1])])
        used = session.cpu_seconds - before
        session.close()
        assert 0.02 < used < 0.5
        assert session.cpu_seconds >= used


def test_every_zygote_is_alike() -> None:
    """Hash seed and the global generators are fixed, so that a candidate that uses them can be run again."""
    source = """
import random
import numpy as np
def f(): return [random.random(), np.random.random(), hash("a") % 2**31]
"""
    answers = []
    for _ in range(2):
        with Sandbox() as sandbox, sandbox.open(source) as session:
            answers.append(session.ask("f", []).tolist())
    assert answers[0] == answers[1]


def test_the_child_has_a_clean_world() -> None:
    """No environment, no arguments, nothing of this project to import, four descriptors beside /dev/null."""
    source = """
import os, sys
def f():
    project = [name for name in sys.modules if "evaluators" in name or "problems" in name]
    paths = [path for path in sys.path if "site-packages" in path]
    fds = [fd for fd in range(64) if is_open(fd)]
    return [len(os.environ), len("".join(sys.argv + sys.orig_argv)), len(project), len(paths), len(fds)]
def is_open(fd):
    try:
        os.dup2(fd, fd)
    except OSError:
        return False
    return True
"""
    with Sandbox() as sandbox, sandbox.open(source) as session:
        assert session.ask("f", []).tolist() == [0, 0, 0, 0, 5]


def test_a_closed_sandbox_closes_its_session() -> None:
    """Leaving the sandbox ends the candidate too; asking it then says so."""
    with Sandbox() as sandbox:
        session = sandbox.open(IDENTITY)
    with pytest.raises(RuntimeError, match="closed"):
        session.ask("f", [np.array([1])])


@pytest.mark.parametrize("field", ["cpu_seconds", "wall_seconds", "memory_mb", "answer_seconds"])
def test_limits_are_positive(field: str) -> None:
    """A limit of nothing is a mistake that is named."""
    with pytest.raises(ValueError, match=field):
        Limits(**{field: 0})
