"""The supervisor's handle on a zygote: starts it, gives it commands, ends it."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from evaluators.sandbox.control import COMMAND, FORK, REAP, Command, Reply, receive_reply, translate
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.tiers import ALL, Layer
from evaluators.verdict import InfrastructureError

BOOT = (
    "import sys; sys.path[:0] = {paths!r}; "
    "from evaluators.sandbox.zygote import main; main({parent}, {paths!r}, {layers})"
)
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot be forked safely
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets of strings iterate alike in every zygote
}
START_SECONDS = 60
REPLY_SECONDS = 30
"""How long a zygote may take before it is held to be broken; its own work takes milliseconds."""


class ZygoteDied(InfrastructureError):
    """The zygote ended, was killed or stopped answering."""


class Zygote:
    """A running zygote, with at most one child at a time.

    It puts on those of `layers` that the machine has. It ends with the thread that made it; a `Sandbox` then
    starts another one.
    """

    def __init__(self, layers: Layer = ALL) -> None:
        paths = [str(Path(__file__).parents[2]), str(Path(np.__file__).parents[1])]
        boot = BOOT.format(parent=os.getpid(), paths=paths, layers=layers.value)
        self._control, theirs = socket.socketpair()
        translate(self._control)
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", "-c", boot],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a Ctrl-C at the terminal is the supervisor's to handle
            )
        self._control.settimeout(START_SECONDS)
        greeting, pid = self._receive()
        self.layers = Layer(greeting.number)
        """The layers that are active."""
        self.pid = pid or self._process.pid
        """Process number of the zygote."""
        self._control.settimeout(REPLY_SECONDS)

    def fork(self, limits: Limits, questions: int, answers: int, source: int) -> int:
        """Fork a child that reads questions and its source and writes answers; return its process number."""
        command = Command(FORK, math.ceil(limits.cpu_seconds), limits.memory_mb << 20)
        reply, pid = self._send(command, [questions, answers, source])
        if not reply.number:
            raise self._failure("a child could not be confined")
        return pid or reply.number

    def reap(self, grace: float = 0.0) -> Reply:
        """End the child, which gets `grace` seconds to do so by itself."""
        return self._send(Command(REAP, grace=grace), [])[0]

    def close(self) -> None:
        """End the zygote; its child ends with it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def _send(self, command: Command, descriptors: list[int]) -> tuple[Reply, int | None]:
        try:
            socket.send_fds(self._control, [COMMAND.pack(*command)], descriptors)
        except OSError as error:
            raise self._failure(str(error)) from error
        return self._receive()

    def _receive(self) -> tuple[Reply, int | None]:
        try:
            return receive_reply(self._control)
        except (OSError, EOFError) as error:
            raise self._failure(str(error)) from error

    def _failure(self, reason: str) -> ZygoteDied:
        """End the zygote, and quote what it said last."""
        self._process.kill()
        stderr = self._process.stderr
        said = stderr.read().decode(errors="replace").split("\n") if stderr and not stderr.closed else []
        self.close()
        last = next((f" ({line})" for line in reversed(said) if line.strip()), "")
        return ZygoteDied(f"the sandbox's zygote failed: {reason}{last}")
