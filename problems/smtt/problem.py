"""The two SMTT problems: a dispatching priority, and a whole schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from problems.base import (
    Argument,
    Array,
    Bound,
    Entry,
    Instance,
    InstanceError,
    Problem,
)
from problems.smtt.instances import LEVELS, generate, grid
from problems.smtt.skeleton import SKELETON

HERE = Path(__file__).parent
SIZES: dict[str, dict[int, int]] = {
    "train": {25: 1, 50: 2, 100: 1},
    "validation": {50: 4, 100: 2, 200: 1},
    "test": {50: 4, 100: 4, 200: 2, 500: 1},
    "paper": {20: 40, 100: 10, 200: 10, 500: 10},
}
"""Instances per grid cell by number of jobs; several sizes in each, or a search finds rules that fit one size only.

`paper`: as many as in arXiv 2510.24013, TF up to .8 as there."""
PROBE_CELLS = [(tf, rdd) for tf in (0.4, 0.6, 0.8, 1.0) for rdd in (0.2, 0.6)]

P = Argument("p", "processing times", sign="positive")
D = Argument("d", "due dates", sign="nonnegative")
T = Argument("t", "the current time: the sum of the processing times already scheduled", "scalar", "nonnegative")


def total_tardiness(p: Array, d: Array, order: Array) -> float:
    """Σ_j max(0, C_j − d_j) when the jobs run without a break in `order`; p, d of shape (n,)."""
    return float(np.maximum(np.cumsum(p[order]) - d[order], 0).sum())


class TotalTardiness(Problem):
    """What both problems share: instances, cost and certified optima of 1||ΣT_j."""

    splits = ("probe", "train", "validation", "test", "paper")
    best_baseline = "mddc"
    bounds = HERE / "bounds"
    class_meanings: ClassVar[Mapping[str, str]] = {
        "hard": "due dates close together, many jobs late whatever is done",
        "robust": "hardly any job late at best, so that every needless delay counts",
        "regular": "all others",
    }
    hints = (
        "Consider how the remaining slack of a job compares with its length.",
        "Consider what happens to the jobs that are bound to be late anyway.",
        "Consider how much work remains in total, and how that should change the rule.",
        "Consider the cost of letting one long job wait against many short ones.",
        "Consider a smooth trade-off where known rules switch abruptly.",
        "Consider the distribution of the values, not only the single job.",
    )

    def split(self, name: str) -> Sequence[Instance]:
        """Potts–Van Wassenhove instances: small ones to search with, larger ones to choose and to report."""
        if name == "probe":
            return [generate("probe", 50, tf, rdd, 0) for tf, rdd in PROBE_CELLS]
        tfs = LEVELS[:4] if name == "paper" else LEVELS
        return [instance for n, per_cell in SIZES[name].items() for instance in grid(name, (n,), per_cell, tfs)]

    def fresh(self, seed: int) -> Sequence[Instance]:
        """As many instances as the test split has, of the same cells."""
        return [i for n, per_cell in SIZES["test"].items() for i in grid(f"fresh-{seed}", (n,), per_cell)]

    def validate(self, instance: Instance) -> None:
        """Lists of equal length, no negative time."""
        super().validate(instance)
        for field in ("p", "d"):
            negative = np.flatnonzero(instance[field] < 0)
            if len(negative):
                job = int(negative[0])
                raise InstanceError(
                    f"{instance.name}: '{field}' of job {job} is {instance[field][job]}; times must be 0 or more"
                )
            if instance[field].dtype != np.int64:
                raise InstanceError(
                    f"{instance.name}: '{field}' holds fractions; the exact solver needs whole numbers: scale them"
                )

        if len(instance["p"]) * sum(instance["p"].tolist()) > 2**60:
            raise InstanceError(f"{instance.name}: the sum of 'p' is too large for exact totals; scale the times down")

    def cost(self, instance: Instance, decision: Array) -> float:
        """Total tardiness."""
        return total_tardiness(instance["p"], instance["d"], decision)

    def bound(self, instance: Instance) -> Bound:
        """The optimum, by decomposition with memoisation."""
        from problems.smtt.exact import solve  # numba takes half a second to import

        certificate = solve(instance["p"], instance["d"])
        return Bound(
            value=float(certificate.value),
            kind=certificate.kind,
            method=certificate.method,
            seconds=certificate.seconds,
            best=float(certificate.best),
            solution=certificate.sequence,
            details={"states": certificate.states, "sets": certificate.sets},
        )


class SmttDispatch(TotalTardiness):
    """A dispatching rule: whenever the machine is free, the job of lowest priority value goes next."""

    name = "smtt_dispatch"
    entry = Entry("priority", (P, D, T), "one score per remaining job, lowest goes next", "dispatch", ("d", "p"))
    baselines = HERE / "baselines" / "dispatch"
    seeds = ("edd", "spt", "mdd")
    brief = """\
One machine processes jobs one at a time, without breaks. Job j takes p[j] time units and is due at d[j].
Minimise the total tardiness: the sum over all jobs of max(0, completion time - d[j]).

You write a dispatching rule. Whenever the machine is free, `priority(p, d, t)` is called with the jobs that
still wait: `p` and `d` are float arrays of equal length (processing times and due dates of the waiting jobs
only, so the length shrinks from call to call), and `t` is the current time. It returns one score per waiting
job as an array of the same length. The job with the LOWEST score goes next."""

    def cpu_limit(self, instance: Instance) -> float:
        """0.4 ms a decision: twenty times what MDDC takes."""
        return 0.0004 * len(instance["p"]) + 0.01


class Smtt(TotalTardiness):
    """A scheduling procedure: all jobs in, a permutation out."""

    name = "smtt"
    entry = Entry("schedule", (P, D), "a permutation: job numbers in processing order", "once")
    baselines = HERE / "baselines" / "schedule"
    best_baseline = "mdd_insertion"
    seeds = ("edd", "spt", "mdd")
    skeleton = SKELETON
    brief = """\
One machine processes n jobs one at a time, without breaks, from time 0. Job j takes p[j] time units and is due
at d[j]. Minimise the total tardiness: the sum over all jobs of max(0, completion time - d[j]).

You write `schedule(p, d)`: `p` and `d` are float arrays of length n (processing times and due dates, jobs in no
particular order). It returns a permutation of 0 … n-1 as an integer array: the job numbers in the order in
which the machine shall process them."""

    def cpu_limit(self, instance: Instance) -> float:
        """Grows with n², as improvement by insertion does: 0.05 s at n = 50, 5 s at n = 500."""
        return 2e-5 * len(instance["p"]) ** 2 + 0.01
