"""A pool of worker processes; a worker that dies is replaced, and its job is done again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol

from evaluators.evaluate import ATTEMPTS, Allowance
from evaluators.evaluation import Evaluation
from evaluators.sandbox.tiers import Tier
from evaluators.verdict import InfrastructureError, Verdict
from problems.errors import ProblemError

LINE_LIMIT = 64 * 1024 * 1024
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SCHED_TRACES")


class Evaluator(Protocol):
    """Evaluates a source on a split; local workers, and any other kind, look like this to the loop."""

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """The evaluation of `source` on every instance of `split`."""


class Workers:
    """`count` local worker processes for one problem; use as an async context manager."""

    def __init__(
        self,
        problem: str,
        *,
        count: int,
        allowance: Allowance,
        min_tier: str = Tier.rlimits_only,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        """`digests`: content hashes of the splits, as the run recorded them; a worker that sees others is refused."""
        setup = json.dumps({"problem": problem, "allowance": asdict(allowance), "min_tier": min_tier}) + "\n"
        self._workers = [_Worker(setup, digests or {}) for _ in range(count)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()

    @property
    def tier(self) -> str:
        """The isolation the workers found."""
        return self._workers[0].tier

    async def __aenter__(self) -> Workers:
        await asyncio.gather(*(worker.start() for worker in self._workers))
        for worker in self._workers:
            self._idle.put_nowait(worker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """Have the next idle worker evaluate `source` on `split`.

        Raises:
            InfrastructureError: a worker failed at it three times in a row.
            ProblemError: the problem's own code failed, or gives other instances than the run's.
        """
        job = {"source": source, "split": split}
        worker = await self._idle.get()
        try:
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(InfrastructureError):
                    return await worker.do(job)
            return await worker.do(job)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One worker process and its two pipes; a process that is out of order is replaced before the next job."""

    def __init__(self, setup: str, digests: Mapping[str, str]) -> None:
        self.tier = ""
        self._setup = setup
        self._digests = digests
        self._process: asyncio.subprocess.Process | None = None
        self._sound = False

    async def start(self) -> None:
        """Start a process and wait until its sandbox is up."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "evaluators.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the loop alone: it ends the run in order
        )
        ready = await self._exchange(self._process, self._setup)
        self.tier = str(ready["tier"])

    async def do(self, job: dict[str, str]) -> Evaluation:
        """Have a job done.

        Raises:
            InfrastructureError: the process ended, or its sandbox failed.
        """
        if self._process is None or not self._sound or self._process.returncode is not None:
            await self.stop()
            await self.start()
        assert self._process is not None
        result = await self._exchange(self._process, json.dumps(job) + "\n")
        if message := result.get("infrastructure_error"):
            raise InfrastructureError(message)
        if message := result.get("problem_error"):
            raise ProblemError(message)
        expected = self._digests.get(job["split"])
        if expected is not None and result["instances"] != expected:
            raise ProblemError(
                f"the instances of the {job['split']} split are not those of the run:"
                " split() must always return the same ones; start a new run if the problem was changed"
            )
        return Evaluation(
            verdict=Verdict(result["verdict"]),
            detail=result["detail"],
            costs=tuple(result["costs"]),
            cpu_seconds=result["cpu_seconds"],
            signature=result["signature"],
        )

    async def _exchange(self, process: asyncio.subprocess.Process, line: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        self._sound = False  # until the answer is in, a cancelled exchange leaves the pipes out of step
        try:
            process.stdin.write(line.encode())
            await process.stdin.drain()
            answer = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise InfrastructureError(f"a worker process broke off: {error}") from error
        if not answer.endswith(b"\n"):
            raise InfrastructureError("a worker process ended in the middle of a job")
        self._sound = True
        result: dict[str, Any] = json.loads(answer)
        return result

    async def stop(self) -> None:
        """End the process: an idle one ends by itself when its input closes, any other is killed."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(2 if self._sound else 0):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = None


def _environment() -> dict[str, str]:
    """What a worker gets to see: never an API key."""
    passed = {name: value for name, value in os.environ.items() if passed_on(name)}
    return {**passed, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def passed_on(name: str) -> bool:
    """Whether a worker gets to see the environment variable `name`; no key may be kept in such a one."""
    return name in PASSED_ON or name.startswith(("PYTHON", "NUMBA_"))
