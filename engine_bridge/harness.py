"""The serving harness: several policies on a real engine, in one run and by turns, beside what the simulator says.

The machine's speed drifts: it warms up, others use it. So every policy serves the whole workload once a round, and a
round begins with another policy than the one before: what drifts hits all alike. What is told of a policy is the
median over the rounds, figure by figure. The cost model that is fitted to the steps of all rounds then simulates each
policy on the same requests; the error of that is told beside each figure.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_bridge.calibration import calibrate
from engine_bridge.cost import CostModel
from engine_bridge.detect import gpus, installed_version
from engine_bridge.metrics import Metrics, Spread, metrics
from engine_bridge.online import NoProgress, simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Policy
from engine_bridge.settings import EngineSettings
from engine_bridge.step_log import StepLog
from engine_bridge.timing import Timed
from engine_bridge.workload import Workload

Array = NDArray[Any]

Open = Callable[[], AbstractContextManager[Policy]]
"""Opens a policy that remembers nothing of earlier runs."""

COMPARED: Mapping[str, tuple[str, str | None]] = {
    "TTFT mean": ("ttft", "mean"),
    "TTFT p50": ("ttft", "p50"),
    "TTFT p99": ("ttft", "p99"),
    "TPOT mean": ("tpot", "mean"),
    "TPOT p50": ("tpot", "p50"),
    "TPOT p99": ("tpot", "p99"),
    "E2E mean": ("e2e", "mean"),
    "throughput": ("output_throughput", None),
}
"""Figures that the simulator is judged by: a field of `Metrics`, and of its spread."""

WARM_UP = 48
"""Requests of the warm-up."""


class Serves(Protocol):
    """An engine, as `torch_engine.engine.Engine`."""

    def serve(
        self,
        workload: Workload,
        policy: Policy,
        *,
        concurrency: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Outcome:
        """Serve a workload to its end; the outcome has a step log."""


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one workload: the figures of each round and their medians, or why it never came to an end."""

    name: str
    rounds: tuple[Metrics, ...]
    failure: str = ""

    @property
    def figures(self) -> Metrics | None:
        """The median of each figure."""
        return None if self.failure else median_metrics(self.rounds)


class StepRecords:
    """The steps of several runs as one table, which `step_log` reads: a row a step, `policy` and `round` beside."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Array]] = []

    def add(self, outcome: Outcome, policy: str, number: int) -> None:
        """Take the steps of one run up."""
        assert outcome.step_log is not None  # engines keep it
        steps = len(outcome.step_log["seconds"])
        self._parts.append({**outcome.step_log, "policy": np.full(steps, policy), "round": np.full(steps, number)})

    def columns(self) -> dict[str, Array]:
        """All steps in which something was computed, by column."""
        if not self._parts:
            return {}
        table = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        busy = table["prefill_tokens"] + table["decodes"] > 0
        return {name: values[busy] for name, values in table.items()}

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        import csv

        table = self.columns()
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*(values.tolist() for values in table.values()), strict=True))

    def fit(self, name: str, experts: int = 0, top_k: int = 0) -> CostModel:
        """The cost model of these steps.

        Raises:
            StepLogError: there are too few, or all are alike.
        """
        table = self.columns()
        log = StepLog.of(table) if table else StepLog.of({key: np.zeros(0) for key in ("prefill_tokens", *_NEEDED)})
        return calibrate(log, name=name, experts=experts, top_k=top_k)


_NEEDED = ("prefill_attention", "decodes", "decode_kv", "seconds")


def measure(
    engine: Serves,
    workload: Workload,
    policies: Mapping[str, Open],
    *,
    rounds: int,
    records: StepRecords,
    concurrency: int | None = None,
    service: Array | None = None,
    tell: Callable[[str], object] = lambda _: None,
    progress: Callable[[str], object] = lambda _: None,
) -> list[Run]:
    """Let every policy serve the workload in every round, by turns; one that never ends is left out from then on.

    Args:
        engine: serves.
        workload: the requests.
        policies: how to open each, by name.
        rounds: how often.
        records: takes the steps up.
        concurrency: so many requests under way at any time; None: by their arrival times.
        service: what each request's service counts as for fairness (`metrics`).
        tell: told what runs, when it begins.
        progress: told how far it is.
    """
    found: dict[str, list[Metrics]] = {name: [] for name in policies}
    failures: dict[str, str] = {}
    names = list(policies)
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            if name in failures:
                continue
            label = f"round {number + 1} of {rounds}: {name}"
            tell(label)
            with policies[name]() as policy:
                timed = Timed(policy)
                try:
                    outcome = engine.serve(
                        workload, timed, concurrency=concurrency, progress=_progress(progress, label, len(workload))
                    )
                except NoProgress as error:
                    failures[name] = str(error)
                    continue
            records.add(outcome, name, number)
            found[name].append(metrics(outcome, outcome.served(workload), timed.seconds, service))
    return [Run(name, tuple(found[name]), failures.get(name, "")) for name in names]


def _progress(tell: Callable[[str], object], label: str, total: int) -> Callable[[int], object]:
    return lambda finished: tell(f"{label}, {finished} of {total} requests")


def predict(
    workload: Workload,
    policies: Mapping[str, Open],
    settings: EngineSettings,
    cost: CostModel,
    *,
    concurrency: int | None = None,
) -> dict[str, Metrics]:
    """What the simulator says of each policy; one that never ends is missing."""
    found = {}
    for name, opened in policies.items():
        with opened() as policy:
            try:
                outcome = simulate(workload, policy, settings, cost, concurrency=concurrency)
            except NoProgress:
                continue
        found[name] = metrics(outcome, outcome.served(workload))
    return found


def errors(predicted: Metrics, measured: Metrics) -> dict[str, float | None]:
    """Predicted over measured, less 1, of the figures `COMPARED`; None where there is none."""
    pairs = {name: (compared(predicted, name), compared(measured, name)) for name in COMPARED}
    return {
        name: None if guess is None or fact is None or fact == 0 else guess / fact - 1
        for name, (guess, fact) in pairs.items()
    }


def compared(figures: Metrics, name: str) -> float | None:
    """One figure of `COMPARED`."""
    field, part = COMPARED[name]
    value = getattr(figures, field)
    return value if value is None or part is None else getattr(value, part)  # type: ignore[no-any-return]


def median_metrics(rounds: Sequence[Metrics]) -> Metrics:
    """The median of each figure by itself; counts are rounded, and the first invalid answer is that of the first."""
    values: dict[str, Any] = {}
    for field in fields(Metrics):
        each = [getattr(figures, field.name) for figures in rounds]
        if isinstance(each[0], str):
            values[field.name] = next((text for text in each if text), "")
        elif isinstance(each[0], Spread):
            values[field.name] = Spread(
                *(_median([getattr(one, part.name) for one in each]) for part in fields(Spread))
            )
        elif None in each:
            values[field.name] = None
        else:
            middle = _median(each)
            values[field.name] = round(middle) if isinstance(each[0], int) else middle
    return Metrics(**values)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def warm_up_workload(settings: EngineSettings, longest: int, seed: int = 0) -> Workload:
    """Requests that show an engine steps of all sizes: prompts of 8 to `longest` tokens in a burst, decoded together.

    longest: tokens of the longest prompt, cut to what the cache can hold.
    """
    rng = np.random.default_rng((seed, 0x3A))
    output = rng.integers(8, 48, WARM_UP)
    room = settings.blocks * settings.block_size
    output = np.minimum(output, max(1, room // 4))
    most = max(1, min(longest, room // 2))
    prompt = np.exp(rng.uniform(np.log(min(8, most)), np.log(most + 1), WARM_UP)).astype(np.int64)
    arrival = np.repeat([0.0, 1e-3, 2e-3], WARM_UP // 3)
    return Workload.of("warm-up", arrival, prompt, output)


def warm_up(
    engine: Serves, settings: EngineSettings, longest: int, *, experts: int = 0, top_k: int = 0, seed: int = 0
) -> CostModel:
    """Serve the warm-up, twice, and fit a first cost model to the second time; none of it is measured.

    Raises:
        StepLogError: the steps were too few or all alike.
    """
    workload, records = warm_up_workload(settings, longest, seed), StepRecords()
    engine.serve(workload.select(range(WARM_UP // 4)), FCFS)
    records.add(engine.serve(workload, FCFS), "warm-up", 0)
    return records.fit("warm-up", experts, top_k)


def machine() -> dict[str, Any]:
    """What a measurement must not be read without: processor, GPUs, and the versions of what computed it."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "gpus": gpus(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in ("torch", "triton", "numpy", "numba")},
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
