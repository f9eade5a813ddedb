import asyncio
import os
import signal
from pathlib import Path

import pytest

from evaluators.evaluate import Allowance
from evaluators.heuristic import find_heuristic
from evaluators.verdict import InfrastructureError, Verdict
from evaluators.workers import Workers
from problems.registry import load_problem

MDD = find_heuristic(load_problem("smtt_dispatch"), "mdd").source


def test_workers_give_the_same_results_whoever_does_the_job() -> None:
    """Eight evaluations on two workers are all equal, and ok."""

    async def main() -> None:
        async with Workers("smtt_dispatch", count=2, allowance=Allowance()) as workers:
            assert workers.tier
            results = await asyncio.gather(*(workers.evaluate(MDD, "probe") for _ in range(8)))
            assert {result.verdict for result in results} == {Verdict.ok}
            assert len({(result.costs, result.signature) for result in results}) == 1

    asyncio.run(main())


def test_a_killed_worker_is_replaced_and_its_job_done_again() -> None:
    """SIGKILL to a worker in the middle of a job: the job still ends well, and so do later ones."""

    async def main() -> None:
        async with Workers("smtt_dispatch", count=1, allowance=Allowance()) as workers:
            job = asyncio.ensure_future(workers.evaluate(MDD, "validation"))
            await asyncio.sleep(0.05)
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)
            assert (await job).verdict is Verdict.ok
            assert (await workers.evaluate(MDD, "probe")).verdict is Verdict.ok

    asyncio.run(main())


def test_a_worker_that_always_dies_is_an_infrastructure_error() -> None:
    """A problem whose scorer kills its process is reported as ours, never as a verdict on the candidate."""

    async def main(spec: str) -> None:
        with pytest.raises(InfrastructureError):
            async with Workers(spec, count=1, allowance=Allowance()) as workers:
                await workers.evaluate(MDD, "probe")

    path = Path(__file__).parent / "deadly.py"
    asyncio.run(main(f"{path}:Deadly"))


def worker_pids() -> list[int]:
    """Worker processes that are children of this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == os.getpid() and b"evaluators.worker" in command:
                found.append(int(entry.name))
    return found
