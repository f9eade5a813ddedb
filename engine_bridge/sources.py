"""Workloads by name: a generator, a file, or a public trace in the folder that SCHED_TRACES names."""

from __future__ import annotations

import os
from pathlib import Path

from engine_bridge.synthetic import GENERATORS, synthetic
from engine_bridge.traces import read_trace
from engine_bridge.workload import Workload, WorkloadError

FOLDER = "SCHED_TRACES"
"""The environment variable that names a folder with traces."""
REQUESTS = 1000
"""Requests of a synthetic workload where nothing else is said."""


def load_workload(source: str | Path, *, requests: int | None = None, seed: int = 0) -> Workload:
    """The workload `source` names, its first `requests` requests (all of a file, 1000 of a generator).

    Args:
        source: a generator's name ("conversation", "code", "mooncake"); a file's path; or a file's name in the folder
            SCHED_TRACES, its ending left out or not ("azure2023_conv").
        requests: how many.
        seed: of the generator; a file has none.

    Raises:
        WorkloadError: there is no such workload, or it cannot be read.
    """
    if requests is not None and requests < 1:
        raise WorkloadError(f"{requests} requests of {source}: give at least 1")
    if str(source) in GENERATORS:
        return synthetic(str(source), requests or REQUESTS, seed)
    found = Path(source) if Path(source).is_file() else _in_folder(str(source))
    if found is None:
        raise WorkloadError(
            f"no workload {source}: it is no file, none of {', '.join(GENERATORS)}, and no file of the folder "
            f"{os.environ.get(FOLDER) or '(unset)'} that {FOLDER} names"
        )
    workload = read_trace(found)
    return workload if requests is None else workload.select(range(min(requests, len(workload))))


def available() -> list[str]:
    """Names that `load_workload` knows here: the generators, then the files in the folder SCHED_TRACES, sorted."""
    return [*GENERATORS, *sorted(path.stem for path in _files())]


def _in_folder(name: str) -> Path | None:
    return next((path for path in _files() if name in (path.name, path.stem)), None)


def _files() -> list[Path]:
    folder = os.environ.get(FOLDER)
    if not folder or not Path(folder).is_dir():
        return []
    return [path for path in sorted(Path(folder).iterdir()) if path.suffix in (".csv", ".jsonl")]
