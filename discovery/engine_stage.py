"""The last stage of the cascade: the best on validation serve real requests on an engine, beside baselines.

What is discovered for another problem takes part as the policy that its adapter makes of it. All policies run sealed
off, so that the way to the sandbox and back costs all alike, and by turns (`engine_bridge.harness`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf

from discovery.archive import Archive
from discovery.bench.contenders import Contender, find_contender, known_policies, read_source
from discovery.bench.real import EngineOptions, Measurement, open_engine, run_real
from discovery.bench.running import Result
from discovery.bench.scene import at_rate, find_workload, own_levels
from discovery.config import Config
from discovery.engine_scores import EngineReplay, EngineScore
from discovery.errors import UsageError
from discovery.folders import source_of
from discovery.leaderboard import leaderboard
from discovery.proposers.settings import ReplayProposer
from engine_bridge.metrics import Metrics
from engine_bridge.policy import CORE
from engine_bridge.workload import Workload
from evaluators.sandbox.supervisor import Sandbox
from problems.base import Problem
from problems.registry import load_problem
from problems.serving.adapters import ENTRIES, NotAdaptable, adapt

Phase = Callable[[str], None]

FIRST_COME = "fcfs"
"""The baseline that every engine has."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What is ranked by: lower is better."""

    title: str
    of: Callable[[Metrics], float | None]


LATENCY = Cost("normalised latency, s per output token", lambda figures: figures.normalised.mean)
STRAIN = Cost("½ TTFT + ½ TPOT over their objectives", lambda figures: figures.strain)


def check_engine_stage(config: Config) -> None:
    """Refuse, before anything is spent, an engine stage that could not be done in the end.

    Raises:
        UsageError: the problem has no adapter, or torch, the device, the model or the workload is not there.
    """
    if config.evaluation.engine is None or _repeats(config):
        return
    problem, wanted = load_problem(config.run.problem), config.engine
    if not _adaptable(problem):
        raise UsageError(
            f"evaluation.engine: what is found for '{problem.name}' cannot serve requests: there is no adapter for it;"
            " leave evaluation.engine out"
        )
    own_levels(wanted.slo)
    at_rate(_workload(config), wanted.rate)
    _check_engine(config)
    with Sandbox(min_tier=config.evaluation.min_isolation) as sandbox:
        for name in wanted.baselines or ():
            _as_sealed(find_contender(name), serving=_finds_policies(problem)).check(config.evaluation.engine, sandbox)


def run_engine_stage(archive: Archive, config: Config, phase: Phase) -> None:
    """Replay the winners, unless that was done with the same heuristics and settings, and record the scores.

    Raises:
        UsageError: the engine cannot do what the config says.
    """
    engine = config.evaluation.engine
    if engine is None:
        return
    if _repeats(config):
        _repeat(archive, config, phase)
        return
    problem = load_problem(config.run.problem)
    contenders = contenders_of(archive, config, problem, phase)
    wanted = json.dumps(
        {"settings": config.engine.model_dump(mode="json"), "policies": [each.name for each in contenders]}
    )
    done = archive.engine_replay()
    if done is not None and done.wanted == wanted:
        return
    with Sandbox(min_tier=config.evaluation.min_isolation) as sandbox:
        for contender in contenders:
            contender.check(engine, sandbox)
        measured = _measure(contenders, config, sandbox, lambda text: phase(f"engine: {text}"))
        isolation = sandbox.tier.value
    cost = STRAIN if getattr(problem, "objective", "") == "slo" else LATENCY
    archive.add_engine_replay(
        EngineReplay(
            engine,
            wanted,
            {
                "title": measured.scene.engine.title,
                "cost": cost.title,
                "isolation": isolation,
                **measured.scene.as_json(),
                "seed": config.run.seed,
            },
            ranked(measured.results, cost),
        )
    )


def contenders_of(archive: Archive, config: Config, problem: Problem, phase: Phase) -> list[Contender]:
    """The best on validation, and the baselines beside them, each once, as sealed policies; named as in the archive.

    Policies that are no baselines of the problem are called `policy NAME`: a name can mean two things.
    """
    serving = _finds_policies(problem)
    baselines = archive.baselines()
    rows = [row for row in leaderboard(archive) if row.origin != "baseline" and row.gap("validation") < inf]
    found: list[Contender] = []
    for row in rows[: config.engine.top_k]:
        try:
            found.append(_adapted(row.heuristic, row.origin, problem, source_of(archive, row.heuristic)))
        except NotAdaptable as error:
            phase(f"engine: {row.heuristic} is left out: {error}")
    if config.engine.baselines is not None:
        found += (_as_sealed(find_contender(name), serving=serving) for name in config.engine.baselines)
        return list({each.name: each for each in found}.values())
    policies = {name: read_source(path) for name, path in known_policies().items() if name == FIRST_COME}
    for name, source in policies.items():
        found.append(Contender(name if serving else f"policy {name}", "baseline", source=source))
    best = problem.best_baseline
    if best in baselines and best != FIRST_COME:
        found.append(_adapted(best, "baseline", problem, baselines[best]))
    return found


def ranked(results: Sequence[Result], cost: Cost) -> tuple[EngineScore, ...]:
    """Scores by measured cost; those that never came to an end are last, equal ones by name."""

    def value(figures: Metrics | None) -> float | None:
        return None if figures is None else cost.of(figures)

    def key(result: Result) -> tuple[float, str]:
        found = value(result.metrics)
        return (inf if found is None else found, result.policy.name)

    return tuple(
        EngineScore(
            heuristic=result.policy.name,
            place=place,
            measured=value(result.metrics),
            simulated=value(result.predicted),
            failure=result.failure,
            detail={**result.as_json(), "round_costs": [cost.of(figures) for figures in result.rounds]},
        )
        for place, result in enumerate(sorted(results, key=key), 1)
    )


def _measure(contenders: Sequence[Contender], config: Config, sandbox: Sandbox, tell: Phase) -> Measurement:
    """Open the engine and let all serve the workload."""
    wanted = config.engine
    workload = _workload(config)
    tell(f"opening {wanted.model}")
    options = EngineOptions(model=wanted.model, device=wanted.device, rounds=wanted.rounds, threads=wanted.threads)
    given = {} if wanted.blocks is None else {"blocks": wanted.blocks}
    real = open_engine(options, workload, given=given, seed=config.run.seed)
    return run_real(
        contenders, workload, [wanted.rate], real, sandbox, tell, slo=wanted.slo, profile=None,
        concurrency=wanted.concurrency, seed=config.run.seed,
    )  # fmt: skip


def _workload(config: Config) -> Workload:
    """The requests that the config names."""
    wanted = config.engine
    return find_workload(
        wanted.workload, requests=wanted.requests, seed=config.run.seed, error=None, max_prompt=wanted.max_prompt
    )


def _check_engine(config: Config) -> None:
    """Refuse an engine, device or model that is not there, and requests that are too long for it."""
    if find_spec("torch") is None:
        raise UsageError(
            'evaluation.engine = "torch" needs torch, which is not installed; install it with'
            " `pip install 'scheduling-discovery[engine]'` (in a checkout: make test-engine)"
        )
    from engine_bridge.torch_engine.engine import check_lengths
    from engine_bridge.torch_engine.errors import EngineError
    from engine_bridge.torch_engine.opening import find_device
    from engine_bridge.torch_engine.shape import find_shape

    try:
        find_device(config.engine.device or "cpu")
        check_lengths(_workload(config), find_shape(config.engine.model))
    except EngineError as error:
        raise UsageError(f"section engine: {error}") from None


def _adaptable(problem: Problem) -> bool:
    return _finds_policies(problem) or problem.name in ENTRIES


def _finds_policies(problem: Problem) -> bool:
    """Whether what is found serves requests as it is."""
    return problem.entry.function in CORE


def _adapted(name: str, origin: str, problem: Problem, source: str) -> Contender:
    """A heuristic of `problem` as a sealed policy."""
    return Contender(name, origin, source=adapt(problem.name, source))


def _as_sealed(contender: Contender, *, serving: bool) -> Contender:
    """A policy that the config names, sealed off like the others."""
    name = contender.name if serving or contender.sealed else f"policy {contender.name}"
    source = contender.source if contender.path is None else read_source(contender.path)
    return Contender(name, contender.origin, source=source)


def _repeats(config: Config) -> bool:
    """Whether the run repeats the measurements of a recording."""
    return isinstance(config.proposer, ReplayProposer) and config.proposer.measurements == "recorded"


def _repeat(archive: Archive, config: Config, phase: Phase) -> None:
    """Take the recording's replay over."""
    assert isinstance(config.proposer, ReplayProposer)
    if archive.engine_replay() is not None:
        return
    with Archive(config.proposer.run, "read") as recording:
        found = recording.engine_replay()
    if found is None:
        phase(f"engine: the recording {config.proposer.run} holds no replay on an engine")
    else:
        archive.add_engine_replay(found)
