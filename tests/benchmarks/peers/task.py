"""The task that every system is given, and the judge that scores what any of them writes."""

from __future__ import annotations

import ast
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from discovery.briefing import Briefing
from discovery.candidate import Draft
from evaluators.bounds import bounds_of
from evaluators.evaluate import Allowance, evaluate
from evaluators.gaps import aggregate, by_class
from evaluators.heuristic import find_heuristic
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import Verdict
from problems.registry import load_problem

PROBLEM = "smtt_dispatch"
START = "mdd"
"""The best of the baselines that our own search starts from; the peers start from one program."""
MARKED = "# EVOLVE-BLOCK-START\n{source}\n# EVOLVE-BLOCK-END\n"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a source; `gap`: ratio gap in percent, None unless the verdict is ok; `classes`: that by class."""

    verdict: str
    detail: str
    gap: float | None
    classes: dict[str, float | None] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """What peers maximise: 1 for an optimal heuristic, ½ at a gap of 1 %, 0 for what fails."""
        return 0.0 if self.gap is None else 1 / (1 + self.gap)


class Judge:
    """The evaluator of our own runs, for whoever asks: same instances, bounds, limits and isolation; thread-safe."""

    def __init__(self) -> None:
        self._problem = load_problem(PROBLEM)
        self._sandbox = Sandbox()
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Judgement] = {}

    def __call__(self, source: str, split: str = "train") -> Judgement:
        """Score a source on a split; what was scored before is remembered."""
        with self._lock:
            if (source, split) not in self._known:
                self._known[source, split] = self._judge(source, split)
            return self._known[source, split]

    def close(self) -> None:
        """End the sandbox."""
        self._sandbox.close()

    def _judge(self, source: str, split: str) -> Judgement:
        instances = self._problem.split(split)
        found = evaluate(self._problem, source, instances, self._sandbox, Allowance())
        if found.verdict is not Verdict.ok:
            return Judgement(found.verdict, found.detail, None)
        bounds = [bound.value for bound in bounds_of(self._problem, instances)]
        classes = by_class(found.costs, bounds, [instance.classes for instance in instances])
        gaps = {name: each.ratio_gap_pct for name, each in classes.items()}
        return Judgement(found.verdict, "", aggregate(found.costs, bounds).ratio_gap_pct, gaps)


class Task:
    """What peers are told, word for word what our own prompts begin with, and the program they start from."""

    def __init__(self) -> None:
        self._problem = load_problem(PROBLEM)

    @cached_property
    def message(self) -> str:
        """The problem, the function's signature and the rules."""
        prompt = Briefing(self._problem, None, seed=0, thoughts=False)(Draft(0, 0, "create", ()), "")
        return (
            prompt.partition("\n# Your task")[0].strip() + "\n\nThe score is 1 / (1 + gap to the optimum in percent)."
        )

    @cached_property
    def program(self) -> str:
        """The starting program, within the marks that both peers need."""
        source = find_heuristic(self._problem, START).source
        tree = ast.parse(source)
        body = source.splitlines()[tree.body[1].lineno - 1 :]  # without the docstring, which tells where it is from
        return MARKED.format(source="\n".join(body))


def record_of(judgement: Judgement) -> dict[str, Any]:
    """A judgement for the peers' evaluators."""
    return {
        "score": judgement.score,
        "gap": judgement.gap,
        "verdict": judgement.verdict,
        "detail": judgement.detail,
        "classes": judgement.classes,
    }
