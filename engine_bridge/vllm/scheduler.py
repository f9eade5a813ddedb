"""The scheduler class that vLLM is given: its own, with hooks before and after."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine_bridge.policy import require_engine
from engine_bridge.vllm.guard import Guard, ServedPolicy
from engine_bridge.vllm.metrics import Metrics
from engine_bridge.vllm.settings import Settings
from engine_bridge.vllm.steering import Steering
from engine_bridge.vllm.steps import StepRecorder
from engine_bridge.vllm.support import UnsupportedVllm, check_scheduler

LOG = logging.getLogger("vllm.scheduling_policy")
"""Below vLLM's own logger, so that it is shown where vLLM's lines are."""

OpenPolicy = Callable[[Settings], ServedPolicy]


class Hooks:
    """Goes before one of vLLM's schedulers in the order of base classes; `steering` is set when it has started."""

    requests: dict[str, Any]
    steering: Steering
    steered_by: ServedPolicy  # a scheduler's own `policy` is another thing
    steps: StepRecorder | None

    def steer(self, policy: ServedPolicy, settings: Settings, *, engine: int = 0, version: str = "") -> None:
        """Ask `policy` from the next step on.

        Raises:
            UnsupportedVllm: the scheduler has not what that takes.
            UnsupportedFunction: vLLM cannot carry out one of the policy's functions.
        """
        check_scheduler(self, version)
        require_engine(policy, "vllm")
        metrics = Metrics(engine)
        self.steered_by = policy
        self.steering = Steering(self, Guard(policy, metrics, LOG), settings, metrics)
        self.steps = StepRecorder(Path(settings.step_log), LOG) if settings.step_log else None

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """One step."""
        steering, since = self.steering, time.perf_counter()
        steering.before()
        output = None
        try:
            output = super().schedule(*args, **kwargs)  # type: ignore[misc]
        finally:
            steering.after(output)
        if self.steps is not None:
            self.steps.scheduled(output, self.requests, since)
        return output

    def add_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Take a request in."""
        result = super().add_request(request, *args, **kwargs)  # type: ignore[misc]
        self.steering.arrived(request)
        return result

    def update_from_output(self, scheduler_output: Any, *args: Any, **kwargs: Any) -> Any:
        """Take the results of a step in."""
        result = super().update_from_output(scheduler_output, *args, **kwargs)  # type: ignore[misc]
        self.steering.updated(scheduler_output)
        if self.steps is not None:
            self.steps.updated(scheduler_output, more=bool(self.requests))
        return result

    def shutdown(self, *args: Any, **kwargs: Any) -> Any:
        """End, the policy's process too."""
        self.steered_by.close()
        if self.steps is not None:
            self.steps.close()
        return super().shutdown(*args, **kwargs)  # type: ignore[misc]


def base_class(config: Any) -> type:
    """The scheduler that vLLM would take by itself with this `SchedulerConfig`."""
    if getattr(config, "async_scheduling", False):
        from vllm.v1.core.sched.async_scheduler import AsyncScheduler

        return AsyncScheduler  # type: ignore[no-any-return]
    from vllm.v1.core.sched.scheduler import Scheduler

    return Scheduler  # type: ignore[no-any-return]


def hooked(base: type) -> type:
    """`base` with hooks."""
    return type(f"Policy{base.__name__}", (Hooks, base), {"__doc__": f"vLLM's {base.__name__}, steered by a policy."})


def build(open_policy: OpenPolicy, settings: Settings, *args: Any, **kwargs: Any) -> Any:
    """A scheduler as vLLM would make it from these arguments, steered by the policy that `open_policy` gives.

    Raises:
        UnsupportedVllm, UnsupportedFunction: as `Hooks.steer`; whatever `open_policy` raises passes.
    """
    import vllm

    config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
    if getattr(config, "diffusion_config", None) is not None:
        raise UnsupportedVllm(
            "vLLM schedules diffusion models by a class of its own, which no policy steers; leave out --scheduler-cls"
        )
    scheduler = hooked(base_class(config.scheduler_config))(*args, **kwargs)
    check_scheduler(scheduler, vllm.__version__)  # before a process is started
    parallel = config.parallel_config
    engine = getattr(parallel, "data_parallel_index", getattr(parallel, "data_parallel_rank", 0))
    policy = open_policy(settings)
    scheduler.steer(policy, settings, engine=engine, version=vllm.__version__)
    LOG.info(
        "scheduling policy: %s, over vLLM %s's %s",
        ", ".join(sorted(policy.functions)),
        vllm.__version__,
        type(scheduler).__mro__[2].__name__,
    )
    return scheduler
