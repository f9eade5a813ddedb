"""The systems compared: how each is set up, started and read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery import __version__
from discovery.archive import Archive
from discovery.study.arms import SHAPES
from discovery.study.curves import course_of
from tests.benchmarks.peers.counter import MAX_TOKENS, PATIENCE, TEMPERATURE
from tests.benchmarks.peers.task import PROBLEM, START

HERE = Path(__file__).parent
FOLDER = Path("runs/peers")
ENVIRONMENTS = FOLDER / "environments"
OURS = "this project"
PACKAGES: Mapping[str, tuple[str, str]] = {
    "OpenEvolve": ("openevolve==0.4.0", "open_evolve.py"),
    "ShinkaEvolve": ("shinka-evolve==0.0.7", "shinka_evolve.py"),
}
"""The peers: their package, and what starts them in an environment of its own."""
SYSTEMS = (OURS, "best-of-N", "greedy", *PACKAGES)

CONFIG = """\
[run]
problem = "{problem}"
seed = {seed}
name = "run"
folder = "{folder}"

[proposer]
kind = "openai"
model = "{model}"
base_url = "{url}"
temperature = {temperature}
max_tokens = {max_tokens}
timeout = {patience}
concurrency = 1

[search]
seeds = ["{start}"]

[evaluation]
workers = 1
promote = 1
finalists = 1

[budget]
calls = {calls}
candidates = {candidates}
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One cell of the comparison: a system with a seed, its folder, and where its calls and sources go."""

    system: str
    seed: int
    calls: int
    model: str
    folder: Path
    url: str
    judge: str
    message: str
    program: str

    @property
    def peer(self) -> bool:
        """Whether it is not ours."""
        return self.system in PACKAGES

    @property
    def version(self) -> str:
        """What was run."""
        return PACKAGES[self.system][0] if self.peer else f"scheduling-discovery=={__version__}"

    def command(self) -> list[str]:
        """What starts it."""
        if self.peer:
            requirement, driver = PACKAGES[self.system]
            path = self.folder / "job.json"
            fields = ("seed", "calls", "model", "url", "judge", "message", "program")
            record = {name: getattr(self, name) for name in fields} | {"folder": str(self.folder)}
            path.write_text(json.dumps({**record, "temperature": TEMPERATURE, "max_tokens": MAX_TOKENS}))
            return [str(environment(requirement)), str(HERE / "drivers" / driver), str(path)]
        path = self.folder / "config.toml"
        path.write_text(
            CONFIG.format(
                problem=PROBLEM, seed=self.seed, folder=self.folder, model=self.model, url=self.url, start=START,
                temperature=TEMPERATURE, max_tokens=MAX_TOKENS, patience=PATIENCE, calls=self.calls,
                candidates=100 * self.calls,
            )
        )  # fmt: skip
        shape = () if self.system == OURS else (*SHAPES[self.system], "proposer.lessons=0")
        settings = [part for setting in shape for part in ("--set", setting)]
        return [sys.executable, "-m", "discovery.cli", "run", str(path), *settings]

    def judged(self, seen: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What was judged, in order: of peers what the judge has `seen`, of ours what the archive says.

        Each with the `calls` answered by then, `gap`, `verdict`, `source`, and whether a call was made for it.
        """
        if self.peer:
            return [{**each, "called": each["calls"] > 0} for each in seen]
        with Archive(self.folder / "run", "read") as archive:
            course = course_of(archive)
            called = {call.number for call in archive.calls()}
            rows = archive.query(
                "SELECT number, outcome.verdict AS verdict, outcome.detail AS detail, score AS gap, source FROM outcome"
                " LEFT JOIN answer USING (number) ORDER BY number"
            )
        return [
            {**row, "calls": calls, "called": row["number"] in called}
            for row, calls in zip(rows, course.calls, strict=True)
        ]


def environment(requirement: str) -> Path:
    """The interpreter of a peer's own environment, made if need be."""
    folder = ENVIRONMENTS / requirement.partition("==")[0]
    python, ready = (folder / "bin" / "python").absolute(), folder / "ready"
    if not ready.is_file() or ready.read_text() != requirement:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(pip, check=True)
        ready.write_text(requirement)
    return python
