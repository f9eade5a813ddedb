"""Starts a vLLM server for as long as it is needed, with or without a policy."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from discovery.errors import UsageError
from discovery.exporting.vllm import SCHEDULER
from engine_bridge.replay.http import Address
from engine_bridge.replay.server import ServerError

START_SECONDS = 1800.0
"""Within which a server must be ready: large models take a while to load."""
STOP_SECONDS = 30.0
"""Within which it must end before it is made to."""
HOST = "127.0.0.1"
TAKEN = os.strerror(errno.EADDRINUSE)
PRINTED = 2000
"""Characters at the end of a log among which the reason of a failure is looked for."""


def read_command(text: str) -> list[str]:
    """The command that `--serve` holds, without address, port and scheduler: those are ours.

    Raises:
        UsageError: it is none, its program does not exist, or it sets one of these.
    """
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--serve '{text}': no command line ({error}); give one such as 'vllm serve MODEL'") from None
    if not command or shutil.which(command[0]) is None:
        raise UsageError(
            f"--serve '{text}': there is no program '{command[0] if command else ''}'; activate the environment that"
            " vLLM is in, or give the program's path"
        )
    for option in ("--port", "--host", "--scheduler-cls"):
        if any(part == option or part.startswith(f"{option}=") for part in command):
            raise UsageError(f"--serve '{text}': take out {option}, which is set for each server")
    return command


@contextmanager
def started(command: Sequence[str], folder: Path | None, log: Path, tell: Callable[[str], object]) -> Iterator[Address]:
    """A server that runs in the block, with the policy exported to `folder` or with vLLM's own scheduler.

    Raises:
        ServerError: it ends, or is not ready in time; or what failed in the block, with the place of the log.
    """
    port = free_port()
    arguments = [*command, "--host", HOST, "--port", str(port), *(shlex.split(SCHEDULER) if folder else [])]
    with tempfile.TemporaryDirectory(prefix="metrics-") as metrics, log.open("wb") as output:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics}
        if folder:
            paths = [str(folder.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        process = subprocess.Popen(  # a session of its own, so that all its processes can be ended together
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            _await_ready(process, port, log, tell)
            with log_named(log):
                yield Address(HOST, port, False, "")
        finally:
            _end(process)


@contextmanager
def log_named(log: Path) -> Iterator[None]:
    """A `ServerError` in the block says where the server's log is."""
    try:
        yield
    except ServerError as error:
        raise ServerError(f"{error} (log: {log})") from None


def free_port() -> int:
    """A port nobody listens at now."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path, tell: Callable[[str], object]) -> None:
    start = time.monotonic()
    while not _ready(port):
        seconds = time.monotonic() - start
        if _ended(process):
            status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            ended = f"with status {status.si_status}" if status else ""
            if TAKEN in log.read_text(encoding="utf-8", errors="replace"):
                raise ServerError(f"another program took port {port} while the server started; try again (log: {log})")
            raise ServerError(f"the server ended {ended} before it was ready: {reason(log)}")
        if seconds > START_SECONDS:
            raise ServerError(f"the server was not ready within {START_SECONDS:.0f} s; look at {log}")
        tell(f"starting the server, {seconds:.0f} s")
        time.sleep(0.5)


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://{HOST}:{port}/health", timeout=5) as reply:  # a loopback address
            return bool(reply.status == 200)
    except (URLError, HTTPException, OSError):
        return False


def reason(log: Path) -> str:
    """The last line of a log that names an error, for people."""
    lines = log.read_text(encoding="utf-8", errors="replace")[-20 * PRINTED :].splitlines()
    named = [line for line in lines if "Error" in line or "CannotStart" in line or "error:" in line.lower()]
    # What a process was told to say about a failure elsewhere ("see the root cause above") is not the reason.
    telling = [line for line in named if "root cause" not in line and "Traceback" not in line]
    chosen = (telling or named or [line for line in lines if line.strip()] or ["nothing was logged"])[-1]
    return f"{' '.join(chosen.split())[-300:]} (log: {log})"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make it and all it has started."""
    os.kill(process.pid, signal.SIGTERM)  # Popen.send_signal would reap it, and free its number
    until = time.monotonic() + STOP_SECONDS
    while not _ended(process) and time.monotonic() < until:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; it stays to be waited for, so that its number remains its own."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
