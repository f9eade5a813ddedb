"""From fork to candidate: what a child gives up before it reads the first byte that nobody has vetted."""

from __future__ import annotations

import os
import random
import resource
import traceback
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from evaluators.sandbox import driver
from evaluators.sandbox.control import REPLY, Reply
from evaluators.sandbox.seal import die_with
from evaluators.sandbox.seccomp import Filter

QUESTIONS, ANSWERS, SOURCE, CONTROL = 3, 4, 5, 6
"""The descriptors a child has beside the standard ones; the last two are closed before the candidate runs."""

OPEN_FILES = 64
EXIT_DONE, EXIT_FAILED = 0, 70


class Confinement(NamedTuple):
    """What a child puts on beyond what it inherits. `limits` are pairs for `setrlimit(2)`."""

    zygote: int
    limits: dict[int, int]
    filter: Filter | None


def limits(cpu_seconds: int, address_space: int) -> dict[int, int]:
    """The kernel's limits: the last resort for CPU time, the only one for memory and files.

    An `address_space` of 0 stands for any.
    """
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
    return limits


def run(descriptors: Sequence[int], confinement: Confinement) -> NoReturn:
    """Become the child that answers questions; never returns into the zygote's code.

    `descriptors` are those of the questions, of the answers, of the source and of the zygote's control socket.
    """
    status = EXIT_FAILED
    try:
        keep_only(descriptors)
        confine(confinement)
        random.seed(0)  # Python reseeds it after every fork
        driver.serve(QUESTIONS, ANSWERS, SOURCE)
        status = EXIT_DONE
    finally:
        os._exit(status)


def confine(confinement: Confinement) -> None:
    """Give up what a candidate must not have, and report on the control socket that this is done."""
    try:
        os.setsid()
        die_with(confinement.zygote)
        for kind, limit in confinement.limits.items():
            lower(kind, limit)
        if confinement.filter is not None:
            confinement.filter.install()  # last: it forbids all of the above
    except BaseException:
        traceback.print_exc()  # into the zygote's standard error, where the supervisor finds it
        os.write(CONTROL, REPLY.pack(*Reply(0)))
        raise
    os.write(CONTROL, REPLY.pack(*Reply(os.getpid())))
    os.close(CONTROL)
    os.dup2(1, 2)


def keep_only(descriptors: Sequence[int]) -> None:
    """Close every descriptor but the standard ones and those given, which become 3, 4 and so on."""
    # Through copies out of the way, as a descriptor may be where another one has to go.
    copies = [os.dup(descriptor) for descriptor in descriptors]
    for number, copy in enumerate(copies, start=3):
        os.dup2(copy, number)
    os.closerange(3 + len(copies), os.sysconf("SC_OPEN_MAX"))


def lower(kind: int, limit: int) -> None:
    """Set a limit of the kernel's, unless there is a lower one."""
    _, hard = resource.getrlimit(kind)
    lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (lowest, lowest))
