"""The command calibrate: fits the cost model to a step log, or shows the profiles that come with the package."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from discovery.errors import UsageError
from discovery.output import print_json
from discovery.tables import console
from engine_bridge.cost import COMPUTE_BOUND, CostModel, ProfileError, load_profile, shipped_profiles


def calibrate(log: Path | None, profile: Path | None, *, experts: int, top_k: int, as_json: bool) -> None:
    """Fit, print and, if asked to, save; without a log, print the shipped profiles."""
    if log is None:
        if profile is not None:
            raise UsageError("--profile writes a fit; give the step log to fit to as well")
        _print([load_profile(name) for name in shipped_profiles()], as_json=as_json)
        return
    if not (experts == top_k == 0 or 1 <= top_k <= experts):
        raise UsageError(f"--top-k {top_k} of --experts {experts}: give 1 to the number of experts, or neither")
    from engine_bridge.calibration import calibrate as fit_to
    from engine_bridge.step_log import StepLogError, read_step_log

    try:
        name = profile.stem if profile else log.stem
        model = fit_to(read_step_log(log), name=name, experts=experts, top_k=top_k)
    except (StepLogError, ProfileError) as error:
        raise UsageError(str(error)) from None
    if profile is not None:
        model.save(profile)
    _print([model], as_json=as_json)
    _warn(model)
    if profile is not None:
        typer.echo(f"wrote {profile}", err=True)


def _print(models: list[CostModel], *, as_json: bool) -> None:
    if as_json:
        records = [asdict(model) for model in models]
        print_json(records if len(records) > 1 else records[0])
        return
    for model in models:
        console().print(table(model), *_remarks(model), sep="\n", end="\n\n", highlight=False)


def table(model: CostModel) -> Table:
    """The error by regime, in percent."""
    found = Table(box=SIMPLE_HEAD)
    found.add_column(f"{model.name}, {'fitted to a log' if model.fitted else 'derived, not measured'}", no_wrap=True)
    for heading in ("steps", "median %", "p90 %", "largest %"):
        found.add_column(heading, justify="right", no_wrap=True)
    for regime, figures in model.error.get("regimes", {}).items():
        cells = (_percent(figures[key]) for key in ("median", "p90", "largest"))
        found.add_row(regime, str(figures["steps"]), *cells)
    return found


def _remarks(model: CostModel) -> list[str]:
    """Where the numbers come from, what the error is of, and the coefficients."""
    coefficients = ", ".join(f"{name} {1e6 * value:.4g}" for name, value in asdict(model.coefficients).items() if value)
    experts = f"; {model.experts} experts, top {model.top_k}" if model.experts else ""
    return [
        model.origin,
        f"relative error against {model.error.get('against', 'nothing')}{_totals(model.error)}",
        f"coefficients in µs: {coefficients or 'all 0'}{experts}",
    ]


def _totals(error: dict[str, Any]) -> str:
    """What a fit says beside its regimes."""
    if "outliers" not in error:
        return ""
    total = "" if error["total"] is None else f", sum of the others {100 * error['total']:+.2f} %"
    return f"; {error['outliers']} of them missed by more than half{total}"


def _warn(model: CostModel) -> None:
    """Say what the log did not show."""
    if not model.error["regimes"][COMPUTE_BOUND]["steps"]:
        seen = model.error["seen"]["tokens"]
        typer.echo(
            f"warning: no compute-bound steps held out (most tokens in a step: {seen}); steps with more are guessed "
            "too fast; log larger prefills",
            err=True,
        )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
