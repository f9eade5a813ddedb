"""The command bench: serving policies side by side, on the same requests in the same engine."""

from __future__ import annotations

import difflib
import math
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from discovery.bench.columns import fidelity_table, results_table
from discovery.bench.contenders import Contender, find_contender
from discovery.bench.real import REQUESTS, EngineOptions, Measurement, open_engine, run_real
from discovery.bench.report import write_report
from discovery.bench.running import LEVEL, Result, by_capacity, capacities, run_all
from discovery.bench.scene import (
    Scene,
    at_rate,
    find_profile,
    find_workload,
    is_synthetic,
    own_levels,
    set_scene,
)
from discovery.commands.bench_live import LIVE, LIVE_DEFAULTS, LiveOptions, bench_live, check_options
from discovery.errors import UsageError
from discovery.output import print_json
from discovery.tables import console, telling
from engine_bridge.policy import ENGINES
from engine_bridge.workload import Workload
from evaluators.sandbox.supervisor import Sandbox

SIMULATOR, TORCH = "sim", "torch"
KNOWN = (SIMULATOR, TORCH, LIVE)
PROFILE = "h200-llama3-8b"
"""The simulator's clock where nothing else is said."""
QUIET = 0.2
"""Rounds of a policy that differ by more, relatively, are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted of every engine: who, on which requests, in what setting.

    rates: arrivals per second, None for the workload's own. error: sigma of the predictions' error, 0 for the true
    lengths, None for those of the workload. given: settings in which the engine differs from the standard one.
    concurrency: so many requests under way at any time; None: by arrival times.
    """

    names: Sequence[str]
    source: str
    rates: Sequence[float | None] = (None,)
    requests: int | None = None
    seed: int = 0
    error: float | None = None
    max_prompt: int | None = None
    max_output: int | None = None
    slo: str | None = None
    profile: str | None = None
    given: Mapping[str, int] = field(default_factory=dict)
    concurrency: int | None = None
    out: Path | None = None

    def scene(self) -> Scene:
        """The scene of a simulation, and of live servers.

        Raises:
            UsageError: an option names nothing, or the engine cannot serve the workload.
        """
        scene = set_scene(
            self.source, requests=self.requests, seed=self.seed, error=self.error, slo=self.slo,
            profile=self.profile or PROFILE, given=self.given, max_prompt=self.max_prompt, max_output=self.max_output,
        )  # fmt: skip
        for rate in self.rates:
            scene.at(rate)
        return replace(scene, concurrency=self.concurrency)

    def workload(self) -> Workload:
        """The requests for an engine in real time, which are fewer where nothing is said.

        Raises:
            UsageError: an option names nothing.
        """
        own_levels(self.slo)
        requests = self.requests or (REQUESTS if is_synthetic(self.source) else None)
        found = find_workload(
            self.source, requests=requests, seed=self.seed, error=self.error, max_prompt=self.max_prompt,
            max_output=self.max_output,
        )  # fmt: skip
        for rate in self.rates:
            at_rate(found, rate)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it; `isolation`: the tier of sealed policies, None if none was sealed here."""

    scene: Scene
    results: Sequence[Result]
    isolation: str | None = None
    folder: Path | None = None
    measured: Measurement | None = None


def bench(
    engine: str, asked: Asked, *, real: EngineOptions | None = None, live: LiveOptions = LIVE_DEFAULTS, as_json: bool
) -> None:
    """Run all policies, print one table and write a report, if asked to; exit code 1 if one never finishes.

    Args:
        engine: sim, torch or vllm.
        asked: what is wanted of it.
        real: options of the embedded engine, None if none was given; live: of servers.
    """
    check_engine(engine)
    if engine != TORCH and real is not None:
        raise UsageError(f"--device, --rounds, --threads and --pools are for --engine {TORCH}, --model is not for sim")
    check_options(engine, live, asked.given)
    if asked.concurrency is not None and (engine == LIVE or asked.rates != [None]):
        raise UsageError(
            "--concurrency sends a request when one finishes, which live servers are not asked to, --rate by the "
            "clock; give one of them"
        )
    if engine == SIMULATOR:
        done = _simulate(asked)
    elif engine == TORCH:
        done = _measure(asked, real or EngineOptions())
    else:
        scene = asked.scene()
        folder = None if asked.out is None else make_folder(asked.out)
        scene_live, results = bench_live(asked.names, scene, asked.rates, live, folder)
        done = Done(scene=scene_live, results=results, folder=folder)
    _finish(engine, asked.seed, done, as_json=as_json)


def _simulate(asked: Asked) -> Done:
    scene = asked.scene()
    folder = None if asked.out is None else make_folder(asked.out)
    with _contenders(asked.names, SIMULATOR) as (contenders, sandbox), telling() as tell:
        results = run_all(contenders, scene, asked.rates, sandbox, tell)
    return Done(scene=scene, results=results, isolation=_tier(sandbox), folder=folder)


def _measure(asked: Asked, options: EngineOptions) -> Done:
    workload = asked.workload()
    profile = None if asked.profile is None else find_profile(asked.profile)
    with _contenders(asked.names, TORCH) as (contenders, sandbox), telling() as tell:
        tell("opening the model")
        engine = open_engine(options, workload, given=asked.given, seed=asked.seed)
        named = Path("runs") / f"bench-{workload.name}-{datetime.now():%Y%m%d-%H%M%S}"
        folder = make_folder(asked.out or named)
        if asked.concurrency is None:
            _announce(workload, asked.rates, len(contenders), options.rounds)
        measured = run_real(
            contenders, workload, asked.rates, engine, sandbox, tell, slo=asked.slo, profile=profile,
            concurrency=asked.concurrency, seed=asked.seed, progress=tell,
        )  # fmt: skip
    return Done(
        scene=measured.scene, results=measured.results, isolation=_tier(sandbox), folder=folder, measured=measured
    )


def _tier(sandbox: Sandbox | None) -> str | None:
    return None if sandbox is None else sandbox.tier.value


def check_engine(name: str) -> None:
    """Refuse engines that there are not, or not here.

    Raises:
        UsageError: it is none of those that benchmarks run on.
    """
    if name in KNOWN:
        return
    if name in ENGINES:
        raise UsageError(f"--engine {name}: that engine cannot be benchmarked here; choose {_either()}")
    nearest = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.4)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose {_either()}"
    raise UsageError(f"there is no engine '{name}'; {hint}")


def _either() -> str:
    return f"{', '.join(KNOWN[:-1])} or {KNOWN[-1]}"


def parse_rates(text: str | None) -> list[float | None]:
    """The rates in `4,8,16`, ascending; [None], the workload's own, for no text.

    Raises:
        UsageError: one of them is no number above 0.
    """
    if text is None:
        return [None]
    rates = set()
    for part in text.split(","):
        try:
            rate = float(part)
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            raise UsageError(f"--rate {text}: '{part}' is no rate; give arrivals per second above 0, as in 4,8,16")
        rates.add(rate)
    return [*sorted(rates)]


def parse_error(sigma: float | None, *, oracle: bool) -> float | None:
    """The error of predictions as `Asked` has it.

    Raises:
        UsageError: both are given.
    """
    if oracle and sigma is not None:
        raise UsageError("--oracle shows the true lengths, --prediction-error wrong ones; give one of them")
    return 0.0 if oracle else sigma


def make_folder(folder: Path) -> Path:
    """The folder of the report, made before anything is computed.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot make this folder: {error.strerror or error}") from None
    return folder


def as_record(engine: str, seed: int, done: Done) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "engine": engine,
        **done.scene.as_json(),
        "seed": seed,
        "isolation": done.isolation,
        "results": [result.as_json() for result in done.results],
        "capacity": {"attainment": LEVEL, "rates": capacities(done.results)},
    }


@contextmanager
def _contenders(names: Sequence[str], engine: str) -> Iterator[tuple[list[Contender], Sandbox | None]]:
    """The policies, each once and checked, and the sandbox of those that need one."""
    contenders = list({each.name: each for each in map(find_contender, names)}.values())
    sealed = any(contender.sealed for contender in contenders)
    with Sandbox() if sealed else nullcontext() as sandbox:
        for contender in contenders:
            contender.check(engine, sandbox)
        yield contenders, sandbox


def _announce(workload: Workload, rates: Sequence[float | None], policies: int, rounds: int) -> None:
    """Say how long requests will arrive, so that nobody waits for hours unknowing."""
    seconds = sum(at_rate(workload, rate).arrival[-1] for rate in rates) * policies * rounds
    if seconds >= 10:
        typer.echo(
            f"requests arrive for {seconds / 60:.1f} min in all ({policies} policies, {rounds} rounds); "
            "--rate, --requests and --rounds change that",
            err=True,
        )


def _finish(engine: str, seed: int, done: Done, *, as_json: bool) -> None:
    """Show and write everything."""
    record = as_record(engine, seed, done)
    if as_json:
        print_json(record)
    elif any(result.metrics for result in done.results):  # else what went wrong is said on standard error
        _show(engine, done)
    if done.folder is not None:
        command = shlex.join(["discover", *sys.argv[1:]])
        page = write_report(done.folder, done.scene, done.results, record, command, done.measured)
        typer.echo(f"wrote {page}", err=True)
    complain(done.results)


def _show(engine: str, done: Done) -> None:
    out, scene, results = console(), done.scene, done.results
    sealed = f" · sealed policies: isolation {done.isolation}" if done.isolation else ""
    title = f"{scene.describe()}\nengine {engine} · {scene.where}"
    out.print(results_table(results, title, f"* best, unless most are · {scene.times}{sealed}", out.width))
    if len({result.rate for result in results}) > 1:
        held = (f"{rate}: {', '.join(names)}" for rate, names in by_capacity(results))
        out.print(f"highest rate tried with {100 * LEVEL:g} % within SLOs: {'; '.join(held)}", highlight=False)
    if any(result.predicted for result in results):
        out.print(fidelity_table(results, f"simulated with the clock {scene.clock}"))


def _apart(result: Result) -> float:
    """Longest over shortest round, less 1; 0 where there is one, or none."""
    seconds = [figures.seconds for figures in result.rounds]
    return max(seconds) / min(seconds) - 1 if seconds else 0.0


def complain(results: Sequence[Result]) -> None:
    """Say on standard error what went wrong with policies; exit code 1 if one never came to an end."""
    for result in results:
        where = result.policy.name if result.rate is None else f"{result.policy.name} at {result.rate:g}/s"
        if result.metrics is not None and result.metrics.invalid:
            typer.echo(
                f"warning: {where}: {result.metrics.invalid} invalid answers, done without; "
                f"the first: {result.metrics.first_invalid}",
                err=True,
            )
        elif result.failure:
            typer.echo(f"error: {where}: {result.failure}", err=True)
    if (apart := max((_apart(result) for result in results), default=0.0)) > QUIET:
        typer.echo(
            f"warning: the seconds that one policy took differ by {100 * apart:.0f} % between rounds: the machine does "
            "other work or a round is too short; measure on a quiet one, or with more --requests",
            err=True,
        )
    if any(result.failure for result in results):
        raise typer.Exit(1)
