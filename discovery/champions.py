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


def chosen(problem: str, folder: Path = CHAMPIONS) -> dict[str, str]:
    """The champions of a problem, for a run that is to start from them.

    Raises:
        UsageError: there are none.
    """
    found = kept(problem, folder)
    if not found:
        raise UsageError(
            f"run.champions: '{folder / problem}' holds no champion yet; `discover accept CANDIDATE` puts one there"
        )
    return found


def keep(problem: str, name: str, source: str, record: dict[str, Any], folder: Path = CHAMPIONS) -> Path:
    """Write an accepted champion to `folder`/PROBLEM: its source, its run's config, and the `record` of all about it.

    One that is kept already stays as it is.

    Raises:
        UsageError: another one of that name is there, from another run of the same name.
    """
    path = folder / problem / f"{name}.py"
    if path.exists():
        if path.read_text(encoding="utf-8") == source:
            return path
        raise UsageError(f"'{path}' holds another champion, from another run of that name; rename this run's folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    commands = how_to_reproduce(path, record)
    path.with_suffix(".json").write_text(json.dumps({**record, "reproduce": commands}, indent=2) + "\n", "utf-8")
    path.with_suffix(".toml").write_text(as_toml(record["config"]), "utf-8")
    path.write_text(source, encoding="utf-8")
    return path


def how_to_reproduce(path: Path, record: dict[str, Any]) -> dict[str, str]:
    """Commands that make a champion's figures again; its search comes out the same where the proposer is offline."""
    problem, trial = record["config"]["run"]["problem"], record["trial"]
    rivals = " ".join(each["rival"] for each in trial["against"])
    return {
        "search": f"discover run {path.with_suffix('.toml').as_posix()}",
        "test": f"discover evaluate {path.as_posix()} --problem {problem} --split test",
        "trial": f"discover compare {path.as_posix()} {rivals} --problem {problem} --split fresh:{trial['seed']}"
        " --by ratio",
    }


def as_toml(config: dict[str, Any]) -> str:
    """A config as TOML; what is None is left out, as TOML has no word for it, and the run's name, which is taken."""
    sections = []
    for title, section in config.items():
        lines = [
            f"{name} = {_value(value)}"
            for name, value in section.items()
            if value is not None and (title, name) != ("run", "name")
        ]
        sections.append("\n".join([f"[{title}]", *lines]) + "\n")
    return "\n".join(sections)


def _value(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


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
        raise DiscoverError(
            f"{path} is damaged ({error}); restore it: it says how many candidates were tried"
        ) from None


def attempt(problem: str, run: str, candidate: str, seed: int, folder: Path = CHAMPIONS) -> int:
    """The number of a trial among all of its problem, from 1; one that is made again keeps its number.

    Raises:
        UsageError: another candidate was tried with that seed, so that its instances are not fresh any more.
    """
    known = trials(problem, folder)
    for number, each in enumerate(known, 1):
        if (each["run"], each["candidate"], each["seed"]) == (run, candidate, seed):
            return number
        if each["seed"] == seed:
            raise UsageError(
                f"--seed {seed}: {each['run']}/{each['candidate']} was tried on the instances of this seed; leave"
                " --seed out, and one is drawn"
            )
    return len(known) + 1


def add_trial(problem: str, record: dict[str, Any], folder: Path = CHAMPIONS) -> None:
    """Add a trial to the list, unless it is on it."""
    if attempt(problem, record["run"], record["candidate"], record["seed"], folder) <= len(trials(problem, folder)):
        return
    path = folder / problem / TRIALS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
