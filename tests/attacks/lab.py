"""What there is to attack: a secret in a file and in an environment, doors on every kind of network, a neighbour."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from evaluators.evaluate import evaluate
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import InfrastructureError, harmless
from tests.attacks.toy import BEST, HONEST, INSTANCES, TIMES, TOY, Quick

ROOT = Path(__file__).parents[2]
UNPROTECTED_SECONDS = 1.2


class Outcome(NamedTuple):
    """What an evaluator made of an attack, and then of an honest candidate."""

    verdict: str
    detail: str
    costs: tuple[float, ...]
    cpu_seconds: float
    honest: tuple[float, ...]


class Lab:
    """Doors and secrets, in a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.secret = secrets.token_hex(8)
        self.mark = folder / "mark"
        self._sockets = contextlib.ExitStack()
        (folder / "secret").write_text(self.secret)
        folder.chmod(0o777)
        self.environment = {"API_KEY": self.secret, "PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._neighbour = subprocess.Popen(["sleep", "600"], env={"API_KEY": self.secret}, stdin=subprocess.DEVNULL)
        abstract = f"\0heuristic-{self.secret}"
        self.names = {
            "folder": str(folder),
            "secret": str(folder / "secret"),
            "mark": str(self.mark),
            "neighbour": self._neighbour.pid,
            "host": os.uname().nodename,
            "tcp": self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1],
            "udp": self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1],
            "unix": self._listen(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "door")),
            "abstract": abstract,
        }
        (folder / "door").chmod(0o777)
        self._listen(socket.AF_UNIX, socket.SOCK_STREAM, abstract)

    def _listen(self, family: int, kind: int, address: object) -> object:
        door = self._sockets.enter_context(socket.socket(family, kind))
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen(100)
        return door.getsockname()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()
        self._neighbour.kill()
        self._neighbour.wait()

    def source(self, attack: Path) -> str:
        """The source of an attack, told where the doors are; but for the length, it is what the file says."""
        text = attack.read_text().replace("# FILL", "#" * 10_000_000)
        return f"LAB = {self.names!r}\n{text}"

    def unprotected(self, source: str) -> Outcome:
        """What an evaluator without any protection makes of it."""
        self.mark.unlink(missing_ok=True)
        job = json.dumps({"sources": [source, HONEST], "instances": TIMES})
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("unprotected.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(job.encode() + b"\n", UNPROTECTED_SECONDS + ROOM * (len(job) > 1_000_000))
        except subprocess.TimeoutExpired:
            output = b""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return read(output)

    def sealed(self, source: str, sandbox: Sandbox, allowance: Quick) -> Outcome:
        """What the evaluator makes of it in a given sandbox."""
        self.mark.unlink(missing_ok=True)
        try:
            result = evaluate(TOY, source, INSTANCES, sandbox, allowance)
        except InfrastructureError as error:
            return Outcome("infrastructure_error", str(error), (), 0.0, ())
        honest = evaluate(TOY, HONEST, INSTANCES, sandbox, Quick())
        return Outcome(result.verdict, result.detail, result.costs, result.cpu_seconds, honest.costs)

    def fell(self, outcome: Outcome, *, accepted: bool) -> bool:
        """Whether the attack has succeeded; `accepted`: it has if its decisions were."""
        return (
            "PWNED" in outcome.detail
            or self.secret in outcome.detail
            or self.mark.exists()
            or any(cost < best for cost, best in zip(outcome.costs, BEST, strict=False))
            or any(cost != cost for cost in outcome.costs)
            or outcome.cpu_seconds < 0
            or outcome.detail != harmless(outcome.detail)
            or outcome.honest != BEST
            or (accepted and bool(outcome.costs))
        )


ROOM = 5
"""More seconds for a source that takes long to be passed on."""


def read(output: bytes) -> Outcome:
    """The results that the unprotected evaluator has printed, as far as it came."""
    results = []
    for line in output.decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            results.append(json.loads(line))
    results = [result for result in results if isinstance(result, dict)] + [{}, {}]
    attack, honest = results[:2]
    costs = tuple(attack.get("costs", ()))
    detail = attack.get("detail", "")
    return Outcome("", detail, costs, attack.get("cpu", 0.0), tuple(honest.get("costs", ())))
