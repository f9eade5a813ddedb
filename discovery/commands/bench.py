"""The command bench: serving policies side by side, on the same requests in the same engine."""

from __future__ import annotations

import difflib
import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from discovery.bench.columns import results_table
from discovery.bench.contenders import Contender, find_contender
from discovery.bench.report import write_report
from discovery.bench.running import LEVEL, Result, by_capacity, capacities, run_all
from discovery.bench.scene import Scene, set_scene
from discovery.errors import UsageError
from discovery.output import print_json
from discovery.tables import console
from engine_bridge.policy import ENGINES
from evaluators.sandbox.supervisor import Sandbox

SIMULATOR = "sim"


def bench(
    names: Sequence[str],
    workload: str,
    rates: str | None,
    *,
    engine: str,
    slo: str | None,
    profile: str,
    requests: int | None,
    seed: int,
    oracle: bool,
    prediction_error: float | None,
    blocks: int | None,
    max_prompt: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run all policies, print one table and, if asked to, write a report; exit code 1 if one never finishes."""
    check_engine(engine)
    if oracle and prediction_error is not None:
        raise UsageError("--oracle shows the true lengths, --prediction-error wrong ones; give one of them")
    wanted = parse_rates(rates)
    error = 0.0 if oracle else prediction_error
    scene = set_scene(
        workload, requests=requests, seed=seed, error=error, slo=slo, profile=profile, blocks=blocks,
        max_prompt=max_prompt,
    )  # fmt: skip
    for rate in wanted:
        scene.at(rate)
    folder = None if out is None else make_folder(out)
    contenders = list({each.name: each for each in map(find_contender, names)}.values())
    with ExitStack() as opened:
        sealed = any(contender.sealed for contender in contenders)
        sandbox = opened.enter_context(Sandbox()) if sealed else None
        isolation = sandbox.tier.value if sandbox else None
        for contender in contenders:
            contender.check(engine, sandbox)
        results = _run(contenders, scene, wanted, sandbox)
    record = as_record(engine, scene, seed, isolation, results)
    _show(engine, scene, isolation, results, record, as_json=as_json)
    if folder is not None:
        page = write_report(folder, scene, results, record, shlex.join(["discover", *sys.argv[1:]]))
        typer.echo(f"wrote {page}", err=True)
    _complain(results)


def check_engine(name: str) -> None:
    """Refuse engines that there are not, or not yet.

    Raises:
        UsageError: it is not the simulator.
    """
    if name == SIMULATOR:
        return
    if name in ENGINES:
        raise UsageError(f"--engine {name}: that engine cannot be benchmarked yet; choose {SIMULATOR}")
    nearest = difflib.get_close_matches(name, ENGINES, n=1, cutoff=0.4)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose {SIMULATOR}"
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


def as_record(engine: str, scene: Scene, seed: int, isolation: str | None, results: Sequence[Result]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "engine": engine,
        **scene.as_json(),
        "seed": seed,
        "isolation": isolation,
        "results": [result.as_json() for result in results],
        "capacity": {"attainment": LEVEL, "rates": capacities(results)},
    }


def _run(
    contenders: Sequence[Contender], scene: Scene, rates: Sequence[float | None], sandbox: Sandbox | None
) -> list[Result]:
    """The results, with a line on standard error that says what runs, if that is a terminal."""
    errors = Console(stderr=True)
    if not errors.is_terminal:
        return run_all(contenders, scene, rates, sandbox, lambda _: None)
    with errors.status("starting") as status:
        return run_all(contenders, scene, rates, sandbox, status.update)


def _show(
    engine: str, scene: Scene, isolation: str | None, results: Sequence[Result], record: Any, *, as_json: bool
) -> None:
    if as_json:
        print_json(record)
        return
    out = console()
    title = f"{scene.describe()}\nengine {engine} · clock: {scene.clock}"
    sealed = f" · sealed policies: isolation {isolation}" if isolation else ""
    caption = f"* best, unless most are · times are simulated, but the scheduler's{sealed}"
    out.print(results_table(results, title, caption, out.width))
    if len({result.rate for result in results}) > 1:
        held = (f"{rate}: {', '.join(names)}" for rate, names in by_capacity(results))
        out.print(f"highest rate tried with {100 * LEVEL:g} % within SLOs: {'; '.join(held)}", highlight=False)


def _complain(results: Sequence[Result]) -> None:
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
    if any(result.failure for result in results):
        raise typer.Exit(1)
