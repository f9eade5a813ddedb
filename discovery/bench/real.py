"""The runs of a benchmark on the embedded engine: measured by turns, and beside it what the simulator says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from discovery.bench.contenders import Contender
from discovery.bench.running import Result
from discovery.bench.scene import Scene, check_fit, stage
from discovery.errors import DiscoverError, UsageError
from engine_bridge.cost import CostModel
from engine_bridge.harness import Open, Serves, StepRecords, machine, measure, predict, warm_up
from engine_bridge.settings import EngineSettings
from engine_bridge.step_log import StepLogError
from engine_bridge.workload import Workload
from evaluators.sandbox.supervisor import Sandbox
from problems.serving.instances import SETTINGS

if TYPE_CHECKING:
    from engine_bridge.torch_engine.shape import ModelShape

REQUESTS = 100
"""Requests of a synthetic workload where nothing else is said: real time passes."""
ROUNDS = 3
"""How often every policy serves the workload where nothing else is said."""
LONGEST = 2048
"""Tokens of the longest prompt of the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """model: a preset's name, or a folder. device: cpu, cuda …; None: a GPU if there is one. rounds: how often every
    policy serves the workload. threads: that compute on a CPU. pools: share of the KV blocks that a pool for prompts
    gets, another the rest; None: one pool for all.
    """

    model: str = "tiny"
    device: str | None = None
    rounds: int = ROUNDS
    threads: int = 1
    pools: float | None = None


def engine_options(
    model: str | None, device: str | None, rounds: int | None, threads: int | None, pools: float | None
) -> EngineOptions | None:
    """What the user has said of the engine, the rest as usual; None if nothing."""
    given = {"model": model, "device": device, "rounds": rounds, "threads": threads, "pools": pools}
    said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return EngineOptions(**said) if said else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealEngine:
    """An engine that is open: who serves, how the scheduler sees it, and what results must name."""

    serves: Serves
    settings: EngineSettings
    shape: ModelShape
    facts: dict[str, Any]

    @property
    def title(self) -> str:
        """One line for people."""
        facts = self.facts
        where = facts["gpu"] or facts["machine"]["cpu"]
        pools = "" if facts["pools"] is None else f", two pools ({facts['pools']:g} for prompts)"
        return f"{facts['model']['name']}, {facts['dtype']}, {facts['attention']} attention on {where}{pools}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScene(Scene):
    """A scene whose engine computes; its profile predicts."""

    engine: RealEngine

    @property
    def where(self) -> str:
        """The engine."""
        return self.engine.title

    @property
    def times(self) -> str:
        """Real times."""
        return f"medians of {self.engine.facts['rounds']} rounds, by turns"

    @property
    def stage(self) -> str:
        """Where they ran."""
        rounds = self.engine.facts["rounds"]
        return (
            f"on the embedded engine: {self.engine.title}. All times are real. Each policy served all requests "
            f"{rounds} {'times' if rounds > 1 else 'time'}, by turns; every figure is the median of the rounds."
        )

    def as_json(self) -> dict[str, Any]:
        """As for a simulation, with what the engine is."""
        return {"on": self.engine.facts, **Scene.as_json(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All there is to tell of a run: the scene with its engine and fitted profile, results, the steps."""

    scene: RealScene
    results: list[Result]
    records: StepRecords


def open_engine(options: EngineOptions, workload: Workload, *, given: Mapping[str, int], seed: int) -> RealEngine:
    """Make the model, its cache and the engine; `given`: blocks, max_running, max_tokens where they differ.

    Raises:
        UsageError: torch is missing, there is no such model or device, or the workload does not fit.
    """
    if find_spec("torch") is None:
        raise UsageError(
            "--engine torch needs torch, which is not installed; install it with "
            "`pip install 'scheduling-discovery[engine]'` (in a checkout: make test-engine)"
        )
    if options.pools is not None and not 0 < options.pools < 1:
        raise UsageError(f"--pools {options.pools:g}: give the share of the KV blocks for prompts, above 0 and below 1")
    import torch

    from engine_bridge.torch_engine.engine import Engine, check_lengths
    from engine_bridge.torch_engine.errors import EngineError
    from engine_bridge.torch_engine.opening import open_runner
    from engine_bridge.torch_engine.pools import PoolEngine
    from engine_bridge.torch_engine.runner import RunnerSettings
    from engine_bridge.torch_engine.shape import find_shape

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_lengths(workload, find_shape(options.model))
        limits = RunnerSettings(
            max_running=given.get("max_running", SETTINGS.max_running),
            max_tokens=given.get("max_tokens", SETTINGS.max_tokens),
        )
        runner = open_runner(
            options.model, device=device, blocks=given.get("blocks"), seed=seed, threads=options.threads,
            settings=limits,
        )  # fmt: skip
        settings = replace(
            SETTINGS,
            blocks=runner.cache.blocks,
            block_size=runner.cache.block_size,
            max_running=runner.settings.max_running,
            max_tokens=runner.settings.max_tokens,
        )
        check_fit(workload, settings)
        serves: Serves = Engine(runner, settings)
        if options.pools is not None:
            serves = pools = PoolEngine(runner, settings, options.pools)
            check_fit(replace(workload, output=np.ones_like(workload.output)), pools.prefill)
            check_fit(workload, pools.decode)
    except EngineError as error:
        raise UsageError(str(error)) from None
    weights = runner.model.weights
    facts = {
        "model": _of_shape(runner.model.shape),
        "dtype": str(weights.dtype).removeprefix("torch."),
        "device": str(weights.device),
        "gpu": torch.cuda.get_device_name(weights.device) if weights.device.type == "cuda" else None,
        "attention": runner.model.backend.name,
        "threads": torch.get_num_threads(),
        "pools": options.pools,
        "rounds": options.rounds,
        "machine": machine(),
    }
    return RealEngine(serves=serves, settings=settings, shape=runner.model.shape, facts=facts)


def _of_shape(shape: ModelShape) -> dict[str, Any]:
    return {**asdict(shape), "parameters": shape.parameter_count}


def run_real(
    contenders: Sequence[Contender],
    workload: Workload,
    rates: Sequence[float | None],
    engine: RealEngine,
    sandbox: Sandbox | None,
    tell: Callable[[str], object],
    *,
    slo: str | None,
    profile: CostModel | None,
    concurrency: int | None,
    seed: int,
    progress: Callable[[str], object] = lambda _: None,
) -> Measurement:
    """Warm up, measure every policy at every rate, fit the cost model to the steps and let it predict the same.

    Args:
        contenders: the policies.
        workload: the requests; service levels that they lack are multiples of what the warm-up took.
        rates: arrivals per second; None: the workload's own.
        engine: serves.
        sandbox: of sealed policies.
        tell: told what runs, when it begins.
        slo: service levels, as in `set_scene`.
        profile: predicts instead of a fit to the run.
        concurrency: so many requests under way at any time; None: by arrival times.
        seed: of the warm-up.
        progress: told how far a run is.

    Raises:
        DiscoverError: the warm-up cannot be fitted to.
        UsageError: a request does not fit the engine.
    """
    from engine_bridge.torch_engine.errors import EngineError

    experts, top_k = engine.shape.experts, engine.shape.experts_per_token
    rounds = int(engine.facts["rounds"])
    longest = min(LONGEST, int(workload.prompt.max()))
    records = StepRecords()
    policies: dict[str, Open] = {each.name: partial(each.opened, sandbox) for each in contenders}
    try:
        tell("warming up")
        first = warm_up(engine.serves, engine.settings, longest, experts=experts, top_k=top_k, seed=seed)
        scene = replace(stage(workload, slo, engine.settings, profile or first), concurrency=concurrency)
        measured = {
            rate: measure(
                engine.serves, scene.at(rate), policies, rounds=rounds, records=records, concurrency=concurrency,
                service=scene.alone, tell=_at(rate, tell), progress=_at(rate, progress),
            )
            for rate in rates
        }  # fmt: skip
    except EngineError as error:
        raise UsageError(str(error)) from None
    except StepLogError as error:
        raise DiscoverError(f"the warm-up cannot be fitted to: {error}") from None
    facts = {each.name: getattr(scene, each.name) for each in fields(scene)}
    shown = RealScene(**{**facts, "profile": profile or _fit(records, engine, first)}, engine=engine)
    predicting = engine.facts["pools"] is None
    results = []
    for rate, runs in measured.items():
        tell("simulating the same")
        guesses = (
            predict(shown.at(rate), policies, engine.settings, shown.profile, concurrency=concurrency)
            if predicting
            else {}
        )
        for contender, run in zip(contenders, runs, strict=True):
            results.append(Result(contender, rate, run.figures, run.failure, run.rounds, guesses.get(contender.name)))
    return Measurement(scene=shown, results=results, records=records)


def _at(rate: float | None, tell: Callable[[str], object]) -> Callable[[str], object]:
    return tell if rate is None else lambda text: tell(f"{rate:g}/s, {text}")


def _fit(records: StepRecords, engine: RealEngine, first: CostModel) -> CostModel:
    """The cost model of the run; that of the warm-up if the run had too few steps."""
    try:
        name = f"{engine.shape.name} here"
        return records.fit(name, engine.shape.experts, engine.shape.experts_per_token)
    except StepLogError:
        return first
