"""How fast the serving simulator is, beside what it has to reach: `python -m tests.benchmarks bench_online`."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np

from engine_bridge.cost import load_profile
from engine_bridge.online import simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Array, Policy, View
from engine_bridge.settings import EngineSettings
from engine_bridge.traces import read_azure
from engine_bridge.workload import Workload
from evaluators.sandbox.affinity import pin
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sealed_policy import SealedPolicy

BATCH = EngineSettings(max_running=64, blocks=20_000)
RANKS = "def rank_running(view):\n    return view.arrival\n"
SCORES = """
import numpy as np
def rank_running(view):
    slack = view.ttft_due + view.output * view.tpot - view.now
    return np.where(view.output > 0, slack, view.prompt - view.computed)
"""


def show(what: str, figure: float, unit: str, target: str = "") -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:66} {figure:10.2f} {unit:8} {target}", flush=True)


def full_batch(n: int = 2000) -> Workload:
    """Requests that keep 64 running: all there from the start."""
    rng = np.random.default_rng(5)
    return Workload.of("batch", np.zeros(n), rng.integers(100, 400, n), rng.integers(50, 350, n))


def timed(
    workload: Workload, policy: Policy, settings: EngineSettings, *, fast_forward: bool = True
) -> tuple[Outcome, float, float]:
    """An outcome, and the wall and CPU seconds it took on our side, compilation excluded."""
    cost = load_profile("h200-llama3-8b")
    simulate(full_batch(2), policy, settings, cost, fast_forward=fast_forward)
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = simulate(workload, policy, settings, cost, fast_forward=fast_forward)
    return outcome, time.perf_counter() - wall, time.process_time() - cpu


class Clocked:
    """Passes questions on and notes when each was asked, a few tens of nanoseconds later."""

    def __init__(self, policy: Policy) -> None:
        self.functions = policy.functions
        self.asked: list[float] = []
        self._policy = policy

    def ask(self, function: str, view: View) -> Array:
        """The policy's answer."""
        self.asked.append(time.perf_counter())
        return self._policy.ask(function, view)


def steps_per_second() -> None:
    """Batches of 64: FCFS with and without fast-forward, and a sealed policy asked in every step."""
    for forward, name in ((True, "with fast-forward"), (False, "every step by itself")):
        outcome, wall, cpu = timed(full_batch(), FCFS, BATCH, fast_forward=forward)
        show(f"simulated steps, FCFS, batch 64, {name}", outcome.steps / wall, "/s", "target: >= 30000")
        show("  by the CPU time they take", outcome.steps / cpu, "/s")
    limits = Limits(cpu_seconds=60, wall_seconds=300)
    for source, name in ((RANKS, "a field as it is"), (SCORES, "a rule of a few operations")):
        with Sandbox(limits) as sandbox, SealedPolicy(sandbox, source) as policy:
            before, clocked = policy.cpu_seconds, Clocked(policy)
            outcome, wall, cpu = timed(full_batch(500), clocked, BATCH)
            cpu += policy.cpu_seconds - before
        show(f"asked steps, sealed: {name}", outcome.asked_steps / wall, "/s", "target: >= 8000")
        show("  by the median step, from question to question", 1 / np.median(np.diff(clocked.asked)), "/s")
        show("  by the CPU time they take on both sides", outcome.asked_steps / cpu, "/s")


def trace() -> None:
    """The whole Azure conversation trace at its natural rate."""
    folder = os.environ.get("SCHED_TRACES", "")
    path = Path(folder) / "azure2023_conv.csv"
    if not path.is_file():
        print("the whole Azure conversation trace: not measured; set SCHED_TRACES to the folder of azure2023_conv.csv")
        return
    outcome, seconds, _ = timed(read_azure(path), FCFS, EngineSettings())
    show(f"the whole Azure conversation trace, {outcome.steps} steps", seconds, "s", "target: <= 15")
    outcome, seconds, _ = timed(read_azure(path), FCFS, EngineSettings(), fast_forward=False)
    show("  every step by itself", seconds, "s")


def main() -> None:
    """Print every figure of the simulator."""
    pin(0)
    steps_per_second()
    trace()
    show("most memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB", "target: <= 500")


if __name__ == "__main__":
    main()
