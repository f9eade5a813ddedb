"""The problem `serving` beside what it has to reach: `python -m tests.benchmarks serving`. One core."""

from __future__ import annotations

import statistics
import time

from evaluators.evaluate import Allowance, evaluate
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from problems.serving.problem import Serving

REPEATS = 3


def show(what: str, figure: str, target: str = "") -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:62} {figure:34} {target}".rstrip(), flush=True)


def main() -> None:
    """One candidate on the train slices, sealed: wall time, and CPU of both sides of the wall."""
    problem = Serving()
    train = problem.split("train")
    with Sandbox() as sandbox:
        for name in ("sjf", "sjf_256", "sarathi_512", "slai"):
            source = find_heuristic(problem, name).source
            evaluate(problem, source, train[:1], sandbox, Allowance())
            own, sealed, wall = [], [], []
            for _ in range(REPEATS):
                began, before = time.perf_counter(), time.process_time()
                sealed.append(evaluate(problem, source, train, sandbox, Allowance()).cpu_seconds)
                own.append(time.process_time() - before)
                wall.append(time.perf_counter() - began)
            figure = (
                f"{statistics.median(wall):.2f} s wall, {statistics.median(own) + statistics.median(sealed):.2f} s CPU"
            )
            show(
                f"one candidate on train ({len(train)} slices), {name}",
                figure,
                "≤ 3 s" if name.startswith("sjf") else "",
            )
    requests = sum(len(instance["arrival"]) for instance in train)
    began = time.perf_counter()
    for instance in train:
        problem.bound(instance)
    show(f"bounds of the train slices ({requests} requests)", f"{1e3 * (time.perf_counter() - began):.0f} ms")


if __name__ == "__main__":
    main()
