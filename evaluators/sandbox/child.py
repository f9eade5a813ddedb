"""From fork to candidate: what a child gives up before it reads the first byte that nobody has vetted."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from evaluators.sandbox import driver
from evaluators.sandbox.control import REPLY, Reply

QUESTIONS, ANSWERS, CONTROL = 3, 4, 5
"""The descriptors a child has beside the standard ones; `CONTROL` is closed before the candidate is read."""

PR_SET_PDEATHSIG = 1
OPEN_FILES = 64
EXIT_DONE, EXIT_FAILED = 0, 70

libc = ctypes.CDLL(None, use_errno=True)


def run(zygote: int, descriptors: Sequence[int], cpu_seconds: int, address_space: int) -> NoReturn:
    """Become the child that answers questions; never returns into the zygote's code.

    `descriptors` are those of the questions, of the answers and of the zygote's control socket.
    """
    status = EXIT_FAILED
    try:
        keep_only(descriptors)
        confine(zygote, cpu_seconds, address_space)
        random.seed(0)  # Python reseeds it after every fork
        driver.serve(QUESTIONS, ANSWERS)
        status = EXIT_DONE
    finally:
        os._exit(status)


def confine(zygote: int, cpu_seconds: int, address_space: int) -> None:
    """Give up what a candidate must not have, and report on the control socket that this is done."""
    try:
        os.setsid()
        die_with(zygote)
        limit_resources(cpu_seconds, address_space)
    except BaseException:
        traceback.print_exc()  # into the zygote's standard error, where the supervisor finds it
        os.write(CONTROL, REPLY.pack(*Reply(0)))
        raise
    os.write(CONTROL, REPLY.pack(*Reply(os.getpid())))
    os.close(CONTROL)
    os.dup2(1, 2)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends. Linux only; elsewhere, do nothing."""
    if sys.platform != "linux":
        return
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before we asked
        os._exit(EXIT_FAILED)


def keep_only(descriptors: Sequence[int]) -> None:
    """Close every descriptor but the standard ones and those given, which become 3, 4 and so on."""
    # Through copies out of the way, as a descriptor may be where another one has to go.
    copies = [os.dup(descriptor) for descriptor in descriptors]
    for number, copy in enumerate(copies, start=3):
        os.dup2(copy, number)
    os.closerange(3 + len(copies), os.sysconf("SC_OPEN_MAX"))


def limit_resources(cpu_seconds: int, address_space: int) -> None:
    """Set the kernel's limits: the last resort for CPU time, the only one for memory and files."""
    limits = {
        # One second more than the supervisor allows, which counts finer and says what happened.
        resource.RLIMIT_CPU: cpu_seconds + 1,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    if address_space:
        limits[resource.RLIMIT_AS] = address_space
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lowest, lowest))
