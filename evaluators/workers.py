"""A pool of worker processes; a worker that dies is replaced, and its job is done again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol

from evaluators.evaluate import ATTEMPTS, Allowance
from evaluators.evaluation import Evaluation
from evaluators.verdict import InfrastructureError, Verdict

LINE_LIMIT = 64 * 1024 * 1024
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SCHED_TRACES")


class Evaluator(Protocol):
    """Evaluates a source on a split; local workers, and any other kind, look like this to the loop."""

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """The evaluation of `source` on every instance of `split`."""


class Workers:
    """`count` local worker processes for one problem; use as an async context manager."""

    def __init__(self, problem: str, *, count: int, allowance: Allowance) -> None:
        self.tier = ""
        self._setup = json.dumps({"problem": problem, "allowance": asdict(allowance)}) + "\n"
        self._count = count
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()

    async def __aenter__(self) -> Workers:
        workers = await asyncio.gather(*(_Worker.start(self._setup) for _ in range(self._count)))
        for worker in workers:
            self._idle.put_nowait(worker)
        self.tier = workers[0].tier
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            await self._idle.get_nowait().stop()

    async def evaluate(self, source: str, split: str) -> Evaluation:
        """Have the next idle worker evaluate `source` on `split`.

        Raises:
            InfrastructureError: workers failed at it three times in a row.
        """
        job = {"source": source, "split": split}
        worker = await self._idle.get()
        try:
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(InfrastructureError):
                    worker = await worker.revive(self._setup)
                    return await worker.do(job)
            worker = await worker.revive(self._setup)
            return await worker.do(job)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One worker process and its two pipes."""

    def __init__(self, process: asyncio.subprocess.Process, tier: str) -> None:
        self.tier = tier
        self._process = process
        self._sound = True

    @classmethod
    async def start(cls, setup: str) -> _Worker:
        """Start a process and wait until its sandbox is up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "evaluators.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the loop alone: it ends the run in order
        )
        worker = cls(process, "")
        ready = await worker._exchange(setup)
        worker.tier = str(ready["tier"])
        return worker

    async def revive(self, setup: str) -> _Worker:
        """This worker if it is in order, else a fresh one in its place."""
        if self._sound and self._process.returncode is None:
            return self
        await self.stop()
        return await _Worker.start(setup)

    async def do(self, job: dict[str, str]) -> Evaluation:
        result = await self._exchange(json.dumps(job) + "\n")
        if message := result.get("infrastructure_error"):
            raise InfrastructureError(message)
        return Evaluation(
            verdict=Verdict(result["verdict"]),
            detail=result["detail"],
            costs=tuple(result["costs"]),
            cpu_seconds=result["cpu_seconds"],
            signature=result["signature"],
        )

    async def _exchange(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._sound = False  # until the answer is in, a cancelled exchange leaves the pipes out of step
        try:
            self._process.stdin.write(line.encode())
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise InfrastructureError(f"a worker process broke off: {error}") from error
        if not answer.endswith(b"\n"):
            raise InfrastructureError("a worker process ended in the middle of a job")
        self._sound = True
        result: dict[str, Any] = json.loads(answer)
        return result

    async def stop(self) -> None:
        """End the process; it ends by itself when its input closes, and is killed if it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(0 if not self._sound else 2):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _environment() -> dict[str, str]:
    """What a worker gets to see: never an API key."""
    passed = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(("PYTHON", "NUMBA_"))}
    return {**passed, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
