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
        "endpoint": _endpoint(config_name),
    }
    if as_json:
        print_json(report)
        return
    for name, finding in report.items():
        typer.echo(f"{name:24}{finding}")


def _endpoint(config_name: str | None) -> str:
    if config_name is None:
        return "not tried (name a config: discover doctor --config FILE)"
    from discovery.config import OpenAIProposer, load_config

    config, _ = load_config(config_name)
    if not isinstance(config.proposer, OpenAIProposer):
        return "none needed: the config's proposer is offline"
    from discovery.proposers.openai import probe

    return probe(config.proposer)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
