"""Finding policies by what users call them: a baseline, a file, a champion, a heuristic of another problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from discovery.archive import Archive
from discovery.errors import UsageError
from discovery.folders import is_number, source_of, split_name
from engine_bridge.policy import Policy, UnsupportedFunction, load_policy, require_engine
from evaluators.heuristic import MAX_SOURCE_BYTES, find_heuristic
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sealed_policy import SealedPolicy
from evaluators.verdict import CandidateFault
from problems.registry import load_problem
from problems.serving.adapters import ENTRIES, NotAdaptable, adapt

LIMITS = Limits(cpu_seconds=1800, wall_seconds=3600, memory_mb=512, answer_seconds=1.0)
"""Of a sealed policy, for one run; a late answer is done without, as in a live engine."""
RESTARTS = 100
"""How often a sealed policy that failed is started afresh in one run; after that the engine goes on without it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy to be run: trusted from `path`, or sealed from `source`.

    name: what the user called it. origin: what it is, for people.
    """

    name: str
    origin: str
    path: Path | None = None
    source: str = ""

    @property
    def sealed(self) -> bool:
        """Whether it runs in the sandbox."""
        return self.path is None

    @contextmanager
    def opened(self, sandbox: Sandbox | None) -> Iterator[Policy]:
        """The policy, without memory of earlier runs.

        Raises:
            CandidateFault: a sealed source is no policy.
        """
        if self.path is not None:
            yield load_policy(self.path)
            return
        assert sandbox is not None  # made if any contender is sealed
        with SealedPolicy(sandbox, self.source, limits=LIMITS, restarts=RESTARTS) as policy:
            yield policy

    def check(self, engine: str, sandbox: Sandbox | None) -> None:
        """Refuse what is no policy, or none for `engine`.

        Raises:
            UsageError: it is.
        """
        try:
            with self.opened(sandbox) as policy:
                require_engine(policy, engine)
        except (CandidateFault, UnsupportedFunction) as error:
            raise UsageError(f"policy '{self.name}': {error}{hint_for(self.name, self.source)}") from None


def hint_for(name: str, source: str) -> str:
    """What to write where a file holds no policy, but perhaps a heuristic of another problem; else nothing."""
    able = [problem for problem, (_, function) in ENTRIES.items() if f"def {function}(" in source]
    return f"; as a heuristic of {' or '.join(able)} it is written {able[0]}:{name}" if able else ""


def find_contender(name: str) -> Contender:
    """The policy called `name`: a baseline, a file, PROBLEM:HEURISTIC or RUN/NUMBER, looked for in this order.

    Raises:
        UsageError: there is none, or it cannot be read or adapted.
    """
    known = known_policies()
    if name in known:
        return Contender(name, "baseline", known[name])
    if Path(name).is_file():
        return Contender(name, "file", source=read_source(Path(name)))
    problem, colon, heuristic = name.partition(":")
    if colon and problem in ENTRIES:
        return _adapted(name, problem, find_heuristic(load_problem(problem), heuristic).source)
    if colon:
        raise UsageError(
            f"policy '{name}': heuristics of '{problem}' cannot serve; those of {', '.join(ENTRIES)} can, as"
            " PROBLEM:HEURISTIC"
        )
    label = name.rpartition("/")[2].removeprefix("#")
    if is_number(label) or ("/" in name and not name.endswith(".py")):
        folder, label = split_name(name)
        with Archive(folder, "read") as archive:
            return _adapted(f"{folder.name}/{label}", archive.meta()["problem"], source_of(archive, label))
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"baselines: {', '.join(known)}"
    raise UsageError(f"there is no policy '{name}', as a baseline or a file; {hint}")


def known_policies() -> dict[str, Path]:
    """The baselines' files by name."""
    folder = Path(str(files("problems.serving"))) / "policies"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def read_source(path: Path) -> str:
    """The text of a policy file.

    Raises:
        UsageError: it is too large or no UTF-8 text.
    """
    if path.stat().st_size > MAX_SOURCE_BYTES:
        raise UsageError(f"{path} is larger than {MAX_SOURCE_BYTES // 1024} KB; a policy is one small file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as such") from None


def _adapted(name: str, problem: str, source: str) -> Contender:
    """A heuristic of `problem` as a policy."""
    try:
        return Contender(name, f"heuristic for {problem}", source=adapt(problem, source))
    except NotAdaptable as error:
        raise UsageError(f"policy '{name}': {error}") from None
