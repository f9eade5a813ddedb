"""One evaluation: a heuristic's source on a set of instances, run sealed, checked and costed by trusted code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.evaluation import Evaluation
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, InfrastructureError, Verdict
from problems.base import Instance, InvalidDecision, Problem

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a heuristic may use: the problem's CPU limit times `cpu_scale`, five times that by the wall clock."""

    cpu_scale: float = 1.0
    memory_mb: int = 512

    def limits(self, problem: Problem, instances: Sequence[Instance]) -> Limits:
        """The limits for one run over `instances`; half a second is added for the start."""
        cpu = 0.5 + self.cpu_scale * sum(problem.cpu_limit(instance) for instance in instances)
        return Limits(cpu_seconds=cpu, wall_seconds=5 * cpu + 10, memory_mb=self.memory_mb)


def evaluate(
    problem: Problem,
    source: str,
    instances: Sequence[Instance],
    sandbox: Sandbox,
    allowance: Allowance,
) -> Evaluation:
    """Run `source` on every instance; a candidate's fault becomes its verdict.

    Raises:
        InfrastructureError: the evaluator itself failed, three times in a row.
    """
    limits = allowance.limits(problem, instances)
    for _ in range(ATTEMPTS - 1):
        try:
            return _attempt(problem, source, instances, sandbox, limits)
        except InfrastructureError:
            continue
    return _attempt(problem, source, instances, sandbox, limits)


def _attempt(
    problem: Problem, source: str, instances: Sequence[Instance], sandbox: Sandbox, limits: Limits
) -> Evaluation:
    costs: list[float] = []
    signature = hashlib.sha256()
    try:
        with sandbox.open(source, limits) as session:
            for instance in instances:
                try:
                    decision = problem.decide(instance, session.ask)
                    problem.check(instance, decision)
                except InvalidDecision as error:
                    raise CandidateFault(Verdict.invalid_decision, str(error)) from error
                costs.append(problem.cost(instance, decision))
                signature.update(np.ascontiguousarray(decision).tobytes() + b"|")
            cpu = session.cpu_seconds
    except CandidateFault as fault:
        return Evaluation(fault.verdict, fault.detail, (), 0.0, "")
    return Evaluation(Verdict.ok, "", tuple(costs), cpu, signature.hexdigest()[:32])
