"""The folder of champions: the accepted winners of each problem, and a list of all that was tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from discovery.errors import DiscoverError, UsageError

CHAMPIONS = Path("runs/champions")
TRIALS = "trials.jsonl"


def kept(problem: str, folder: Path = CHAMPIONS) -> dict[str, str]:
    """Sources of a problem's champions, by RUN-NUMBER; none if nothing was accepted yet."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / problem).glob("*.py"))}


def keep(problem: str, name: str, source: str, record: dict[str, Any], folder: Path = CHAMPIONS) -> Path:
    """Write an accepted champion to `folder`/PROBLEM: its source, and the `record` of where it comes from.

    Raises:
        UsageError: it is there already.
    """
    path = folder / problem / f"{name}.py"
    if path.exists():
        raise UsageError(f"'{path}' exists: this champion is kept already")
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    return path


def trials(problem: str, folder: Path = CHAMPIONS) -> list[dict[str, Any]]:
    """All trials of candidates for a problem, accepted or not, in order.

    Raises:
        DiscoverError: a line of the list is damaged.
    """
    path = folder / problem / TRIALS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise DiscoverError(f"{path} is damaged ({error}); restore it: it says how many candidates were tried") from None


def attempt(problem: str, run: str, candidate: str, seed: int, folder: Path = CHAMPIONS) -> int:
    """The number of a trial among all of its problem, from 1; one that is made again keeps its number."""
    known = trials(problem, folder)
    for number, each in enumerate(known, 1):
        if (each["run"], each["candidate"], each["seed"]) == (run, candidate, seed):
            return number
    return len(known) + 1


def add_trial(problem: str, record: dict[str, Any], folder: Path = CHAMPIONS) -> None:
    """Add a trial to the list, unless it is on it."""
    if attempt(problem, record["run"], record["candidate"], record["seed"], folder) <= len(trials(problem, folder)):
        return
    path = folder / problem / TRIALS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
