"""Finding runs and their candidates by the names users give them."""

from __future__ import annotations

from pathlib import Path

from discovery.archive import Archive
from discovery.errors import UsageError

RUNS = Path("runs")


def run_folder(name: str, folder: Path = RUNS) -> Path:
    """The folder of the run called `name`: a path, or a name below `folder`.

    Raises:
        UsageError: there is no such run.
    """
    for candidate in (Path(name), folder / name):
        if (candidate / "archive.db").is_file():
            return candidate
    known = [path.parent.name for path in sorted(folder.glob("*/archive.db"))]
    hint = f"runs in {folder}/: {', '.join(known[-5:])}" if known else f"{folder}/ holds no run yet"
    raise UsageError(f"there is no run '{name}'; {hint}")


def latest_run(folder: Path = RUNS) -> Path:
    """The run below `folder` that was last written to.

    Raises:
        UsageError: there is none.
    """
    archives = sorted(folder.glob("*/archive.db"), key=_last_written)
    if not archives:
        raise UsageError(f"{folder}/ holds no run yet; start one with `discover run runs/configs/demo.toml`")
    return archives[-1].parent


def split_name(candidate: str) -> tuple[Path, str]:
    """The run folder and the heuristic's label in `RUN/LABEL`, or in `LABEL` for the latest run."""
    run, slash, label = candidate.rpartition("/")
    label = label.removeprefix("#")
    if is_number(label):
        label = str(int(label))
    return (run_folder(run) if slash else latest_run()), label


def is_number(label: str) -> bool:
    """Whether a label is a candidate's number, and not a baseline's name."""
    return label.isascii() and label.isdecimal() and len(label) < 10


def source_of(archive: Archive, label: str) -> str:
    """The source of a candidate (by number) or baseline (by name) of a run.

    Raises:
        UsageError: there is none.
    """
    baselines = archive.baselines()
    if label in baselines:
        return baselines[label]
    rows = archive.query("SELECT source FROM answer WHERE number = ?", int(label)) if is_number(label) else []
    if not rows:
        raise UsageError(
            f"run '{archive.folder.name}' has no candidate '{label}'; it has 0 … {archive.committed() - 1}"
            f" and the baselines {', '.join(baselines)}"
        )
    if rows[0]["source"] is None:
        raise UsageError(f"candidate {label} of run '{archive.folder.name}' has no source: its answer held no code")
    return str(rows[0]["source"])


def _last_written(path: Path) -> float:
    """When an archive was last written to; the newest rows are in the log beside it until they are moved."""
    files = [path, path.with_name("archive.db-wal")]
    return max(file.stat().st_mtime for file in files if file.is_file())
