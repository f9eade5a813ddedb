"""The exact solver beside what it has to reach, and beside simpler ones: `python -m tests.benchmarks.bench_exact`.

CPU seconds on one core, fixed seeds.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numba import njit

from problems.base import Instance
from problems.mip import solve_model
from problems.smtt.exact import Certificate, solve
from problems.smtt.instances import generate, grid
from problems.smtt.mip import positional_model


def show(what: str, figure: str, target: str = "") -> None:
    """One line: the figure, and what it should be."""
    print(f"{what:52} {figure:34} {target}".rstrip(), flush=True)


def certify(instance: Instance) -> Certificate:
    """Solve an instance, and insist on the proof."""
    certificate = solve(instance["p"], instance["d"])
    if certificate.kind != "optimal":
        sys.exit(f"error: {instance.name} was not solved: bound {certificate.value}, best {certificate.best}")
    return certificate


def hardest(n: int, index: int = 0) -> Instance:
    """An instance of the hardest cell, TF = .6 and RDD = .2."""
    return generate("bench", n, 0.6, 0.2, index)


def grids() -> None:
    """The 25 cells, 4 instances each."""
    targets = {200: ("≤ 6 ms (goal 1)", ""), 500: ("≤ 250 ms (goal 40)", "≤ 3 s (goal .4)")}
    for n in (50, 100, 200, 500):
        mean, most = targets.get(n, ("", ""))
        certificates = [certify(instance) for instance in grid("bench", (n,), 4)]
        seconds = [certificate.seconds for certificate in certificates]
        show(f"n = {n}, grid of 25 x 4, mean", f"{1e3 * statistics.fmean(seconds):.2f} ms", mean)
        show(f"n = {n}, grid of 25 x 4, median", f"{1e3 * statistics.median(seconds):.2f} ms")
        show(f"n = {n}, grid of 25 x 4, hardest", f"{max(seconds):.3f} s", most)


def certify_apart(instance: Instance) -> tuple[Certificate, float]:
    """The certificate, and the peak memory of this process in MB; the kernels are loaded first."""
    certify(hardest(10))
    certificate = solve(instance["p"], instance["d"])
    return certificate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def large() -> None:
    """Single instances of the hardest cell, each in a process of its own for its peak memory."""
    rng = np.random.default_rng(1)
    p = rng.integers(1, 10**6, 500, endpoint=True)
    fine = Instance("fine", {"p": p, "d": rng.integers(int(p.sum() * 0.3), int(p.sum() * 0.5), 500)})
    cases = [(hardest(1000, index), "n = 1000", "solved in 2 GB (goal 8 s, 1 GB)") for index in range(2)]
    cases += [(hardest(1500), "n = 1500", ""), (fine, "n = 500, p up to 10^6", "")]
    for instance, what, target in cases:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            certificate, megabytes = pool.submit(certify_apart, instance).result()
        gap = 100 * (certificate.best / certificate.value - 1)
        proof = "optimal" if certificate.kind == "optimal" else f"gap {gap:.4f} %"
        figure = f"{certificate.seconds:.2f} s, {certificate.states / 1e6:.1f} M states, {megabytes:.0f} MB"
        show(f"{what}, TF .6, RDD .2: {proof}", figure, target)


def against_highs() -> None:
    """HiGHS on the positional model, in the same run."""
    for n in (10, 15, 20):
        for index in range(2):
            instance = hardest(n, index)
            mip = solve_model(positional_model(instance), max_nodes=200_000, integral=True)
            exact = certify(instance)
            agrees = mip.value == exact.value if mip.kind == "optimal" else mip.value <= exact.value
            if not agrees:
                sys.exit(f"error: HiGHS says {mip.kind} {mip.value} on {instance.name}, the exact solver {exact.value}")
            figure = f"{mip.seconds:.2f} s {mip.kind}, exact {1e3 * exact.seconds:.2f} ms"
            show(f"HiGHS, n = {n}, hardest cell, {index}", figure, f"ratio {mip.seconds / exact.seconds:.0f}")


@njit
def plain_lawler(p: np.ndarray, d: np.ndarray, t: int) -> int:
    """Lawler's recursion on jobs in EDD order, with neither memory nor elimination."""
    n = p.size
    if n == 0:
        return 0
    k = n - 1
    for j in range(n - 2, -1, -1):
        if p[j] > p[k]:
            k = j
    best = 1 << 62
    for r in range(k, n):
        done = t + p[: r + 1].sum()
        left = np.append(p[:k], p[k + 1 : r + 1]), np.append(d[:k], d[k + 1 : r + 1])
        cost = max(0, done - d[k]) + plain_lawler(left[0], left[1], t)
        if cost < best:
            best = min(best, cost + plain_lawler(p[r + 1 :].copy(), d[r + 1 :].copy(), done))
    return best


def against_plain_lawler() -> None:
    """Compiled recursion without memo or elimination, in the same run."""
    plain_lawler(np.array([1]), np.array([1]), 0)
    for n in (10, 15, 20, 25):
        instance = hardest(n)
        order = np.lexsort((instance["p"], instance["d"]))
        began = time.process_time()
        value = plain_lawler(instance["p"][order], instance["d"][order], 0)
        seconds = time.process_time() - began
        exact = certify(instance)
        if value != exact.value:
            sys.exit(f"error: Lawler's recursion says {value} on {instance.name}, the exact solver {exact.value}")
        figure = f"{seconds:.4f} s, exact {1e3 * exact.seconds:.2f} ms"
        show(f"plain Lawler, n = {n}, hardest cell", figure, f"ratio {seconds / exact.seconds:.0f}")


def main() -> None:
    """Print every figure."""
    began = time.process_time()
    certify(hardest(10))
    figure = f"{time.process_time() - began:.2f} s"
    show("first call: kernels from cache, or compiled", figure, "< 1 s from cache")
    grids()
    large()
    against_highs()
    against_plain_lawler()


if __name__ == "__main__":
    main()
