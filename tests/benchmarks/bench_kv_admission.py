"""KV admission beside what it has to reach: `python -m tests.benchmarks kv_admission`. CPU seconds on one core."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from engine_bridge.simulator import Simulation
from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from problems.kv_admission.instances import generate
from problems.kv_admission.ladder import simple_bounds
from problems.kv_admission.problem import KvAdmission
from problems.kv_admission.relaxation import lp_bound
from problems.kv_admission.search import admit, best_schedule


def show(what: str, figure: str, target: str = "") -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:62} {figure:30} {target}".rstrip(), flush=True)


def cpu(function: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    function()
    return time.process_time() - began


def bounds() -> None:
    """Bounds without a solver, and the linear program, for instances of every main family."""
    simple_bounds(generate("bench", "conv", 50, 0))
    slowest = max(cpu(lambda f=family: simple_bounds(generate("bench", f, 1000, 0))) for family in ("conv", "batch"))
    show("bounds without MIP, n = 1,000, instance drawn anew", f"{1e3 * slowest:.0f} ms", "≤ 1 s")
    for family in ("conv", "code", "mooncake", "batch"):
        instance = generate("bench", family, 200, 0)
        horizon = int(admit(instance, 2.0).max()) + 1
        seconds = cpu(lambda i=instance, h=horizon: lp_bound(i, h))
        show(f"time-indexed LP, {family}, n = 200, {horizon} rounds", f"{seconds:.2f} s", "≤ 3 s")
    instance = generate("bench", "conv", 50, 0)
    best_schedule(instance, moves=1)
    show("best known schedule, n = 50", f"{cpu(lambda: best_schedule(instance)):.2f} s")


def evaluations() -> None:
    """One candidate on the train split, sealed: CPU of the sealed processes and of the trusted side."""
    problem = KvAdmission()
    train = problem.split("train")
    with Sandbox() as sandbox:
        for name in ("mc_sf", "kv_area_backfill"):
            source = find_heuristic(problem, name).source
            evaluate(problem, source, train[:1], sandbox, Allowance())
            own, sealed, wall = [], [], []
            for _ in range(5):
                began, before = time.perf_counter(), time.process_time()
                sealed.append(evaluate(problem, source, train, sandbox, Allowance()).cpu_seconds)
                own.append(time.process_time() - before)
                wall.append(time.perf_counter() - began)
            both = statistics.median(own) + statistics.median(sealed)
            figure = f"{1e3 * both:.0f} ms CPU, {1e3 * min(wall):.0f} ms wall"
            show(f"one candidate on train ({len(train)} instances), {name}", figure, "≤ 300 ms")


def large() -> None:
    """5,000 requests: the trusted side alone, with what every question shows but nobody asked."""
    instance = generate("bench", "conv", 5000, 0)
    admit(generate("bench", "conv", 50, 0), 2.0)

    def run() -> None:
        prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
        simulation = Simulation(prompt + 1, output, arrival, capacity=int(instance["capacity"]))
        while simulation.advance():
            simulation.admit(simulation.room + output[simulation.waiting])

    show("5,000 requests, beyond the heuristic's own time", f"{cpu(run):.2f} s", "≤ 1 s")


def main() -> None:
    """Print every figure."""
    bounds()
    evaluations()
    large()


if __name__ == "__main__":
    main()
