"""The command bench: serving policies side by side, on the same requests in the same engine."""

from __future__ import annotations

import difflib
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from discovery.bench.columns import fidelity_table, results_table
from discovery.bench.contenders import Contender, find_contender
from discovery.bench.real import REQUESTS, EngineOptions, Measurement, open_engine, run_real
from discovery.bench.report import write_report
from discovery.bench.running import LEVEL, Result, by_capacity, capacities, run_all
from discovery.bench.scene import (
    Scene,
    at_rate,
    check_level,
    find_profile,
    find_workload,
    is_synthetic,
    set_scene,
)  # fmt: skip
from discovery.errors import UsageError
from discovery.output import print_json
from discovery.tables import console
from engine_bridge.policy import ENGINES
from engine_bridge.workload import Workload
from evaluators.sandbox.supervisor import Sandbox

SIMULATOR, TORCH = "sim", "torch"
PROFILE = "h200-llama3-8b"
"""The simulator's clock where nothing else is said."""
QUIET = 0.2
"""Rounds of a policy that differ by more, relatively, are told of."""
OFTEN = 0.25
"""Seconds between two words on what runs."""

Tell = Callable[[str], object]


def bench(
    names: Sequence[str],
    workload: str,
    rates: str | None,
    *,
    engine: str,
    slo: str | None,
    profile: str | None,
    requests: int | None,
    seed: int,
    oracle: bool,
    prediction_error: float | None,
    blocks: int | None,
    max_prompt: int | None,
    out: Path | None,
    as_json: bool,
    concurrency: int | None = None,
    options: EngineOptions | None = None,
) -> None:
    """Run all policies, print one table and write a report, if asked to; exit code 1 if one never finishes."""
    check_engine(engine)
    if engine == SIMULATOR and options is not None:
        raise UsageError("--model, --device, --rounds, --threads and --pools are for --engine torch")
    if oracle and prediction_error is not None:
        raise UsageError("--oracle shows the true lengths, --prediction-error wrong ones; give one of them")
    if concurrency is not None and rates is not None:
        raise UsageError("--concurrency sends a request when one finishes, --rate by the clock; give one of them")
    wanted, error = parse_rates(rates), 0.0 if oracle else prediction_error
    if engine == SIMULATOR:
        scene = set_scene(
            workload, requests=requests, seed=seed, error=error, slo=slo, profile=profile or PROFILE, blocks=blocks,
            max_prompt=max_prompt,
        )  # fmt: skip
        for rate in wanted:
            scene.at(rate)
        folder = None if out is None else make_folder(out)
        with _contenders(names, engine) as (contenders, sandbox), _telling() as tell:
            results = run_all(contenders, scene, wanted, sandbox, tell, concurrency)
        _finish(engine, scene, seed, sandbox, results, folder, as_json=as_json)
        return
    check_level(slo)
    model = None if profile is None else find_profile(profile)
    count = requests or (REQUESTS if is_synthetic(workload) else None)
    found = find_workload(workload, requests=count, seed=seed, error=error, max_prompt=max_prompt)
    for rate in wanted:
        at_rate(found, rate)
    with _contenders(names, engine) as (contenders, sandbox), _telling() as tell:
        tell("opening the model")
        real = open_engine(options or EngineOptions(), found, blocks=blocks, seed=seed)
        folder = make_folder(out or Path("runs") / f"bench-{found.name}-{datetime.now():%Y%m%d-%H%M%S}")
        if concurrency is None:
            _announce(found, wanted, len(contenders), int(real.facts["rounds"]))
        measured = run_real(
            contenders, found, wanted, real, sandbox, tell, slo=slo, profile=model, concurrency=concurrency, seed=seed
        )
    _finish(engine, measured.scene, seed, sandbox, measured.results, folder, as_json=as_json, measured=measured)


def check_engine(name: str) -> None:
    """Refuse engines that there are not, or not here.

    Raises:
        UsageError: it is neither the simulator nor the embedded engine.
    """
    known = (SIMULATOR, TORCH)
    if name in known:
        return
    if name in ENGINES:
        raise UsageError(f"--engine {name}: that engine cannot be benchmarked here; choose {' or '.join(known)}")
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose {' or '.join(known)}"
    raise UsageError(f"there is no engine '{name}'; {hint}")


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


def as_record(
    engine: str,
    scene: Scene,
    seed: int,
    isolation: str | None,
    results: Sequence[Result],
    measured: Measurement | None = None,
) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "engine": engine,
        **({} if measured is None else {"on": measured.engine.facts}),
        **scene.as_json(),
        "seed": seed,
        "isolation": isolation,
        "results": [result.as_json() for result in results],
        "capacity": {"attainment": LEVEL, "rates": capacities(results)},
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


@contextmanager
def _telling() -> Iterator[Tell]:
    """Shows on standard error what runs, if that is a terminal."""
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status("starting") as status:
        last = 0.0

        def tell(text: str) -> None:
            nonlocal last
            if time.monotonic() - last > OFTEN:  # a fast engine is not to wait for a terminal
                status.update(text)
                last = time.monotonic()

        yield tell


def _announce(workload: Workload, rates: Sequence[float | None], policies: int, rounds: int) -> None:
    """Say how long requests will arrive, so that nobody waits for hours unknowing."""
    seconds = sum(at_rate(workload, rate).arrival[-1] for rate in rates) * policies * rounds
    if seconds >= 10:
        typer.echo(
            f"requests arrive for {seconds / 60:.1f} min in all ({policies} policies, {rounds} rounds); "
            "--rate, --requests and --rounds change that",
            err=True,
        )


def _finish(
    engine: str,
    scene: Scene,
    seed: int,
    sandbox: Sandbox | None,
    results: Sequence[Result],
    folder: Path | None,
    *,
    as_json: bool,
    measured: Measurement | None = None,
) -> None:
    """Show and write everything."""
    isolation = sandbox.tier.value if sandbox else None
    record = as_record(engine, scene, seed, isolation, results, measured)
    if as_json:
        print_json(record)
    else:
        _show(engine, scene, isolation, results, measured)
    if folder is not None:
        page = write_report(folder, scene, results, record, shlex.join(["discover", *sys.argv[1:]]), measured)
        typer.echo(f"wrote {page}", err=True)
    complain(results)


def _show(
    engine: str, scene: Scene, isolation: str | None, results: Sequence[Result], measured: Measurement | None
) -> None:
    out = console()
    sealed = f" · sealed policies: isolation {isolation}" if isolation else ""
    if measured is None:
        title = f"engine {engine} · clock: {scene.clock}"
        caption = f"* best, unless most are · times are simulated, but the scheduler's{sealed}"
    else:
        title = f"engine {engine} · {measured.engine.title}"
        caption = f"* best, unless most are · medians of {measured.engine.facts['rounds']} rounds, by turns{sealed}"
    out.print(results_table(results, f"{scene.describe()}\n{title}", caption, out.width))
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
