"""One evaluation: a heuristic's source on a set of instances, run sealed, checked and costed by trusted code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.evaluation import Evaluation
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.session import Session
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import CandidateFault, InfrastructureError, Verdict
from problems.base import Array, Instance, InvalidDecision, Problem

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a heuristic may use: the problem's CPU limit times `cpu_scale`, five times that by the wall clock.

    With `fresh_process` each instance is asked in a process of its own, as interactive problems always do:
    their heuristics may remember what they have seen of an instance, and must not take it to the next.
    """

    cpu_scale: float = 1.0
    memory_mb: int = 512
    fresh_process: bool = False

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
    for _ in range(ATTEMPTS - 1):
        try:
            return _attempt(problem, source, instances, sandbox, allowance)
        except InfrastructureError:
            continue
    return _attempt(problem, source, instances, sandbox, allowance)


def _attempt(
    problem: Problem, source: str, instances: Sequence[Instance], sandbox: Sandbox, allowance: Allowance
) -> Evaluation:
    try:
        decisions, cpu = _decide(problem, source, instances, sandbox, allowance)
        again = _asked_again(len(instances), _each_alone(problem, allowance))
        repeated, _ = _decide(problem, source, [instances[i] for i in again], sandbox, allowance)
        if [_bytes(decisions[i]) for i in again] != [_bytes(decision) for decision in repeated]:
            raise CandidateFault(Verdict.invalid_decision, "decisions depend on earlier instances or on chance")
    except CandidateFault as fault:
        return Evaluation(fault.verdict, fault.detail, (), 0.0, "")
    costs = tuple(problem.cost(instance, decision) for instance, decision in zip(instances, decisions, strict=True))
    signature = hashlib.sha256(b"".join(_bytes(decision) + b"|" for decision in decisions)).hexdigest()[:32]
    return Evaluation(Verdict.ok, "", costs, cpu, signature, _reports(problem, instances, decisions))


def _reports(problem: Problem, instances: Sequence[Instance], decisions: Sequence[Array]) -> dict[str, float]:
    """Means of the problem's own figures over the instances."""
    each = [problem.reports(instance, decision) for instance, decision in zip(instances, decisions, strict=True)]
    return {name: float(np.mean([figures[name] for figures in each])) for name in (each[0] if each else ())}


def _decide(
    problem: Problem, source: str, instances: Sequence[Instance], sandbox: Sandbox, allowance: Allowance
) -> tuple[list[Array], float]:
    """The checked decisions on `instances`, asked in this order, and the CPU seconds they took."""
    if _each_alone(problem, allowance) and len(instances) > 1:
        parts = [_decide(problem, source, [instance], sandbox, allowance) for instance in instances]
        return [decision for decisions, _ in parts for decision in decisions], sum(cpu for _, cpu in parts)
    decisions = []
    with sandbox.open(source, allowance.limits(problem, instances)) as session:
        functions = _functions(problem, session)
        for instance in instances:
            try:
                decision = problem.decide_with(instance, session.ask, functions)
                problem.check(instance, decision)
            except InvalidDecision as error:
                raise CandidateFault(Verdict.invalid_decision, str(error)) from error
            decisions.append(decision)
        return decisions, session.cpu_seconds


def _functions(problem: Problem, session: Session) -> frozenset[str]:
    """Which functions of the entry the heuristic defines, at least one; not asked where there is but one."""
    entry = problem.entry
    if not entry.companions:
        return frozenset((entry.function,))
    functions = session.defined(entry.functions)
    if not functions:
        session.require(entry.function)
    return functions


def _each_alone(problem: Problem, allowance: Allowance) -> bool:
    """Whether every instance gets a process of its own."""
    return allowance.fresh_process or problem.entry.driver == "interactive"


def _asked_again(count: int, alone: bool) -> list[int]:
    """Which of `count` instances to ask again in a fresh process: the last, the first, one between, in this order.

    The last one now comes without what was seen before it, the first one with something, and both in another
    place than before: what decides by its memory, or by counting, decides otherwise. Where each was `alone` in its
    process, only chance is left to be found out, and the first is enough.
    """
    if alone:
        return [0] if count else []
    return list(dict.fromkeys((count - 1, 0, count // 2))) if count else []


def _bytes(decision: Array) -> bytes:
    return np.ascontiguousarray(decision).tobytes()
