"""The comparison of `tests.vllm.oracle`, with the policy's answers carried out by the hooks that an export ships."""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler

from engine_bridge.policy import SCALAR_NAMES, VECTOR_NAMES, Array, View
from engine_bridge.vllm.scheduler import hooked
from engine_bridge.vllm.settings import Settings
from tests.vllm.cases import Case, Weighted
from tests.vllm.driver import Driver, make_scheduler


class Served(Weighted):
    """The random policy of a case as an engine in service knows policies."""

    fields, scalars = VECTOR_NAMES, SCALAR_NAMES
    restarts = 0
    active = True

    def ask(self, function: str, view: View) -> Array:
        """As `Weighted`, whose answers are always valid."""
        return super().ask(function, view)

    def close(self) -> None:
        """There is nothing to end."""


class HookedDriver(Driver):
    """Runs a case on vLLM's scheduler with hooks, which see requests as HTTP clients describe them."""

    scheduler: Any

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.policy = Served(case.policy)
        settings = Settings(window=case.settings["window"], ahead=0)  # as in the simulator
        self.scheduler.steer(self.policy, settings)
        self.scheduler.steering.clock = lambda: self.now

    def make_scheduler(self) -> Scheduler:
        """vLLM's scheduler with hooks."""
        return make_scheduler(self.case.settings, hooked(Scheduler))

    def ask(self) -> None:
        """Nothing: the hooks ask."""

    def schedule(self) -> SchedulerOutput:
        """One step; the hooks lift limits under which nothing would be scheduled."""
        return self.scheduler.schedule()

    def extra(self, number: int) -> dict[str, float]:
        """What the sender of a request says of it."""
        facts = self.facts
        return {
            "predicted": float(facts.predicted[number]),
            "ttft": float(facts.ttft[number]),
            "tpot": float(facts.tpot[number]),
            "priority": float(facts.priority[number]),
            "group": float(facts.group[number]),
        }
