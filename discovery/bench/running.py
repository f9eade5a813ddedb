"""The runs of a benchmark in the simulator: each policy on the same requests, at each rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from discovery.bench.contenders import Contender
from discovery.bench.scene import Scene
from engine_bridge.harness import errors
from engine_bridge.metrics import Metrics, metrics
from engine_bridge.online import NoProgress, simulate
from engine_bridge.timing import Timed
from evaluators.sandbox.supervisor import Sandbox

LEVEL = 0.9
"""Attainment that a policy's capacity asks for."""


@dataclass(frozen=True, slots=True)
class Result:
    """One policy at one rate (None: the workload's own); without metrics if it never came to an end.

    On a real engine `metrics` are medians over `rounds`, and `predicted` is what the simulator says.
    """

    policy: Contender
    rate: float | None
    metrics: Metrics | None
    failure: str = ""
    rounds: tuple[Metrics, ...] = ()
    predicted: Metrics | None = None

    @property
    def errors(self) -> dict[str, float | None]:
        """Predicted over measured, less 1, by figure; empty without a prediction."""
        return {} if self.metrics is None or self.predicted is None else errors(self.predicted, self.metrics)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "policy": self.policy.name,
            "origin": self.policy.origin,
            "sealed": self.policy.sealed,
            "rate": self.rate,
            "metrics": None if self.metrics is None else self.metrics.as_json(),
            "failure": self.failure or None,
            **(self._of_rounds() if self.rounds else {}),
        }

    def _of_rounds(self) -> dict[str, Any]:
        return {
            "rounds": [figures.as_json() for figures in self.rounds],
            "predicted": None if self.predicted is None else self.predicted.as_json(),
            "errors": self.errors,
        }


def run_all(
    contenders: Sequence[Contender],
    scene: Scene,
    rates: Iterable[float | None],
    sandbox: Sandbox | None,
    tell: Callable[[str], object],
) -> list[Result]:
    """All policies at one rate, then at the next; `tell` is told before each run."""
    results = []
    for rate in rates:
        workload = scene.at(rate)
        for contender in contenders:
            tell(contender.name if rate is None else f"{contender.name} at {rate:g}/s")
            with contender.opened(sandbox) as policy:
                timed = Timed(policy)
                try:
                    outcome = simulate(workload, timed, scene.settings, scene.profile, concurrency=scene.concurrency)
                except NoProgress as error:
                    results.append(Result(contender, rate, None, str(error)))
                    continue
            figures = metrics(outcome, outcome.served(workload), timed.seconds, scene.alone)
            results.append(Result(contender, rate, figures))
    return results


def capacities(results: Sequence[Result]) -> dict[str, float | None]:
    """By policy, the highest rate tried up to which every rate tried has an attainment of `LEVEL`; None: none has."""
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(result.policy.name for result in results):
        own = {r.rate: r.metrics for r in results if r.policy.name == name and r.rate is not None}
        found[name] = None
        for rate in sorted(own):
            figures = own[rate]
            if figures is None or figures.attainment < LEVEL:
                break
            found[name] = rate
    return found


def by_capacity(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """`capacities` for people: a rate, and the policies that reach it; the highest first, `none` last."""
    found = capacities(results)
    rates = sorted(set(found.values()), key=lambda rate: -(rate or 0.0))
    return [
        ("none" if rate is None else f"{rate:g}/s", [name for name, own in found.items() if own == rate])
        for rate in rates
    ]
