"""The command doctor: what this machine offers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from discovery.output import print_json
from engine_bridge.detect import gpus, installed_engines
from evaluators.sandbox.supervisor import Sandbox


def doctor(config_name: str | None, *, as_json: bool) -> None:
    """Look at everything a run may need and print it."""
    with Sandbox() as sandbox:
        tier = sandbox.tier
    engines = {name: found or "not installed" for name, found in installed_engines().items()}
    report = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": str(os.cpu_count()),
        "isolation": tier.value,
        "isolation means": tier.claim,
        "exact solver (numba)": _version("numba"),
        "MIP solver (HiGHS)": _version("highspy"),
        "PuLP": _version("pulp"),
        "GPU": ", ".join(gpus()) or "none",
        **{f"engine {name}": found for name, found in engines.items()},
        **_endpoints(config_name),
    }
    if as_json:
        print_json(report)
        return
    for name, finding in report.items():
        typer.echo(f"{name:24}{finding}")


def _endpoints(config_name: str | None) -> dict[str, str]:
    """Whether each endpoint of a config answers."""
    if config_name is None:
        return {"endpoint": "not tried (name a config: discover doctor --config FILE)"}
    from discovery.config import load_config

    config, _ = load_config(config_name)
    models = getattr(config.proposer, "models", ())
    if not models:
        return {"endpoint": "none needed: the config's proposer is offline"}
    from discovery.proposers.endpoint import probe

    numbers = [""] if len(models) == 1 else [f" {number}" for number in range(1, len(models) + 1)]
    return {f"endpoint{number}": probe(model) for number, model in zip(numbers, models, strict=True)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
