"""Running a study: one run per arm and seed, each in a folder of its own, so that a study goes on where it was cut."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from discovery.archive import AMENDED, Archive
from discovery.config import Config
from discovery.create import create, resolved
from discovery.errors import UsageError
from discovery.session import Observers, run
from discovery.study.arms import Arm
from problems.registry import load_problem

Watch = Callable[[Config, Archive], AbstractContextManager[Observers]]
"""Makes what observes a run, for as long as it goes on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study."""

    arm: Arm
    seed: int
    study: Path

    @property
    def folder(self) -> Path:
        """Where its archive is."""
        return self.study / f"{re.sub('[^A-Za-z0-9._]+', '-', self.arm.name).strip('-')}-{self.seed}"

    def config(self) -> Config:
        """Its config."""
        place = (f"run.folder={json.dumps(self.study.as_posix())}", f"run.name={self.folder.name}")
        return self.arm.load(f"run.seed={self.seed}", *place)


def cells_of(arms: Sequence[Arm], seeds: int, study: Path) -> list[Cell]:
    """The runs of a study: every arm with the first seed, then with the second …

    Raises:
        UsageError: two arms would share a folder.
    """
    cells = [Cell(arm, seed, study) for seed in range(1, seeds + 1) for arm in arms]
    if len({cell.folder for cell in cells}) < len(cells):
        raise UsageError("two arms of the study differ in punctuation only; give them other names")
    return cells


def run_cell(cell: Cell, observers: Watch) -> None:
    """See the run of a cell through, from where it stands; one that has ended is left alone.

    Raises:
        UsageError: what was run under this name had another config.
        ProposerError: no answers can be had for now.
    """
    with _opened(cell) as archive:
        if ended(archive):
            return
        with observers(Config.model_validate(archive.config), archive) as watching:
            asyncio.run(run(archive, watching))


def ended(archive: Archive) -> bool:
    """Whether a run came to its end, under the config that it has now."""
    kinds = [row["kind"] for row in archive.query("SELECT kind FROM event ORDER BY rowid")]
    return "finished" in kinds and AMENDED not in kinds[kinds.index("finished") :]


def _opened(cell: Cell) -> Archive:
    config = cell.config()
    try:
        archive = Archive(cell.folder, "append")
    except UsageError:  # there is none, or one whose set-up was cut short, which holds nothing
        shutil.rmtree(cell.folder, ignore_errors=True)
        return create(config, cell.folder.name, lambda _: None)
    try:
        _agree(archive, resolved(config, load_problem(config.run.problem)))
    except UsageError:
        archive.close()
        raise
    return archive


def _agree(archive: Archive, wanted: Config) -> None:
    """Take on a new budget; refuse every other change."""
    recorded, new = archive.config, wanted.model_dump(mode="json")
    recorded["evaluation"] = {**recorded["evaluation"], "workers": new["evaluation"]["workers"]}
    same = {**recorded, "budget": new["budget"]}
    if same != new:
        section = next(name for name in new if same.get(name) != new[name])
        key = next(key for key, value in new[section].items() if same[section].get(key) != value)
        raise UsageError(
            f"'{archive.folder}' was run with another {section}.{key} ({same[section].get(key)}, now"
            f" {new[section][key]}); give this study another --name"
        )
    if recorded["budget"] != new["budget"]:
        archive.event(AMENDED, wanted.model_dump_json())
