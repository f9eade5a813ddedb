"""The command trace: what a workload holds, and its conversion to our own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import typer

from discovery.errors import DiscoverError, UsageError
from discovery.output import print_json
from engine_bridge.sources import load_workload
from engine_bridge.traces import write_jsonl
from engine_bridge.workload import Workload, WorkloadError


def trace(
    source: str, out: Path | None, *, start: float, end: float | None, requests: int | None, as_json: bool
) -> None:
    """Print what a workload holds; if asked to, write it as JSON lines.

    Raises:
        UsageError: there is no such workload, or nothing is left of it.
        DiscoverError: it cannot be written.
    """
    try:
        workload = load_workload(source)
        if start > 0 or end is not None:
            workload = workload.slice(start, np.inf if end is None else end)
    except WorkloadError as error:
        raise UsageError(str(error)) from None
    if requests is not None:
        workload = workload.select(range(min(requests, len(workload))))
    facts = describe(workload)
    if as_json:
        print_json(facts)
    else:
        for name, finding in facts.items():
            typer.echo(f"{name:24}{_text(finding)}")
    if out is not None:
        if out.exists():
            raise UsageError(f"'{out}' exists; choose another file or remove it")
        try:
            write_jsonl(workload, out)
        except OSError as error:
            raise DiscoverError(f"cannot write '{out}': {error.strerror or error}") from error
        typer.echo(f"wrote {out}", err=True)


def describe(workload: Workload) -> dict[str, Any]:
    """A workload in figures; lengths as median, 90th and 99th percentile, in tokens."""
    known = np.minimum(workload.known_blocks() * workload.hash_block, workload.prompt)
    return {
        "workload": workload.name,
        "origin": workload.origin,
        "requests": len(workload),
        "seconds": round(workload.duration, 3),
        "requests per second": round(workload.rate, 4) if np.isfinite(workload.rate) else None,
        "prompt p50, p90, p99": _quantiles(workload.prompt),
        "output p50, p90, p99": _quantiles(workload.output),
        "prompt seen before %": round(100 * float(known.sum() / workload.prompt.sum()), 2),
        "groups": len(np.unique(workload.group[workload.group >= 0])),
        "output lengths": workload.predictions,
    }


def _quantiles(values: Any) -> list[int]:
    return [int(value) for value in np.quantile(values, (0.5, 0.9, 0.99))]


def _text(finding: Any) -> str:
    if isinstance(finding, list):
        return ", ".join(f"{value:,}" for value in finding)
    return "–" if finding is None else f"{finding:,}" if isinstance(finding, (int, float)) else str(finding)
