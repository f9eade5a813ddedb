"""The folder that a benchmark leaves behind: results as JSON, plots as PNG, and one page that holds everything."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from discovery import __version__
from discovery.bench.columns import COLUMNS, UNITS, by_rate, fidelity_cells, spread
from discovery.bench.real import Measurement
from discovery.bench.running import LEVEL, Result, by_capacity
from discovery.bench.scene import Scene
from discovery.errors import DiscoverError

PLOTS = ("attainment.png", "frontier.png")
FIDELITY = "fidelity.png"
STEPS, PROFILE = "steps.csv", "profile.json"


def write_report(
    folder: Path,
    scene: Scene,
    results: Sequence[Result],
    record: Mapping[str, Any],
    command: str,
    real: Measurement | None = None,
) -> Path:
    """Write results.json, the plots and report.html; the page's path. Of a measurement the steps and the profile too.

    Raises:
        DiscoverError: a file cannot be written.
    """
    from discovery.bench.plots import attainment_plot, fidelity_plot, frontier_plot  # matplotlib is slow to import

    plots = dict(zip(PLOTS, (attainment_plot(results), frontier_plot(results)), strict=True))
    if any(result.errors for result in results):
        plots[FIDELITY] = fidelity_plot(results)
    page = folder / "report.html"
    try:
        (folder / "results.json").write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for name, picture in plots.items():
            (folder / name).write_bytes(picture)
        if real is not None:
            real.records.write(folder / STEPS)
            scene.profile.save(folder / PROFILE)
        page.write_text(render(scene, results, plots, command, record["seed"], real), encoding="utf-8")
    except OSError as error:
        raise DiscoverError(f"cannot write the report to '{folder}': {error.strerror or error}") from error
    return page


def render(
    scene: Scene,
    results: Sequence[Result],
    plots: Mapping[str, bytes],
    command: str,
    seed: int,
    real: Measurement | None = None,
) -> str:
    """The page; it needs no other file."""
    templates = Environment(
        loader=PackageLoader("discovery"), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    several = len({result.rate for result in results}) > 1
    return templates.get_template("bench.html.j2").render(
        scene=scene,
        facts=scene.as_json(),
        tables=[_table(rate, group) for rate, group in by_rate(results)],
        columns=COLUMNS,
        several=several,
        capacities=by_capacity(results) if several else [],
        level=f"{100 * LEVEL:g} %",
        policies=list({result.policy.name: result.policy for result in results}.values()),
        pictures={name: b64encode(picture).decode("ascii") for name, picture in plots.items()},
        command=command,
        seed=seed,
        real=None if real is None else real.scene.engine,
        fidelity=_fidelity(results),
        fit=scene.profile.error.get("regimes", {}),
        version=__version__,
    )


def _table(rate: float | None, group: Sequence[Result]) -> dict[str, Any]:
    """One rate: the cells of each policy, and whether each is a best one."""
    best = [column.winners(group) for column in COLUMNS]
    rows = [
        {
            "name": result.policy.name,
            "failure": result.failure,
            "first_invalid": result.metrics.first_invalid if result.metrics else "",
            "cells": [
                (column.text(result), result.policy.name in winners)
                for column, winners in zip(COLUMNS, best, strict=True)
            ],
        }
        for result in group
    ]
    return {"rate": rate, "rows": rows}


def _fidelity(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each figure of each policy and rate: measured, over the rounds, simulated, error."""
    return [
        {
            "policy": result.policy.name,
            "rate": result.rate,
            "rows": [(name, UNITS[name][0], *fidelity_cells(result, name), spread(result, name)) for name in UNITS],
        }
        for result in results
        if result.metrics is not None and result.rounds
    ]
