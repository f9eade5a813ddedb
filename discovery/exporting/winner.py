"""What is exported: a policy's source, and all that is known of where it comes from and how good it is."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery import __version__
from discovery.archive import Archive
from discovery.bench.contenders import find_contender, hint_for, known_policies
from discovery.commands.show import describe
from discovery.errors import UsageError
from discovery.folders import split_name
from discovery.leaderboard import SPLITS
from engine_bridge.policy import CORE, ENGINES, EXTENSIONS
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sealed_policy import SealedPolicy
from evaluators.verdict import CandidateFault
from problems.serving.adapters import ENTRIES

MEANINGS = {
    "rank_waiting": "the order in which waiting requests are admitted",
    "rank_running": "who gets tokens first, and who is preempted first",
    "token_budget": "tokens of a step",
    "admit_limit": "how many requests may run",
}
"""What the functions decide, in a few words."""
_KEPT = ("run", "problem", "heuristic", "origin", "operator", "model", "parents", "lineage", "verdict")


@dataclass(frozen=True, slots=True)
class Winner:
    """A policy to be exported.

    functions: those of the protocol that it has, in the order in which they are asked. facts: for the manifest; name,
    origin, provenance and scores among them. scores: the last as sentences.
    """

    name: str
    source: str
    functions: tuple[str, ...]
    facts: dict[str, Any]
    scores: tuple[str, ...]

    @property
    def about(self) -> str:
        """What its author says it does: the docstring; empty without one."""
        return ast.get_docstring(ast.parse(self.source)) or ""


def find_winner(name: str, engine: str) -> Winner:
    """The policy called `name`, if `engine` can carry it out; it is loaded once, sealed off.

    Raises:
        UsageError: there is none, it cannot be adapted, it does not load, or it has a function that the engine lacks.
    """
    contender = find_contender(name)
    source = contender.path.read_text(encoding="utf-8") if contender.path else contender.source
    functions = _loaded(name, source)
    _refuse_functions(name, functions, engine)
    record, scores = _provenance(name)
    called = Path(name).stem if contender.origin == "file" else contender.name
    facts = {
        "name": called,
        "origin": contender.origin,
        "engine": engine,
        "functions": sorted(functions),
        "made_by": f"scheduling-discovery {__version__}",
        "provenance": record,
        "scores": list(scores),
    }
    return Winner(called, source, functions, facts, tuple(scores))


def _loaded(name: str, source: str) -> tuple[str, ...]:
    """The functions that are there once the file has run, sealed off."""
    try:
        with Sandbox() as sandbox, SealedPolicy(sandbox, source) as policy:
            return tuple(each for each in (*CORE, *EXTENSIONS) if each in policy.functions)
    except CandidateFault as fault:
        raise UsageError(f"policy '{name}': {fault}{hint_for(name, source)}") from None


def _refuse_functions(name: str, functions: Sequence[str], engine: str) -> None:
    """Name the first function that the engine does not carry out, and what to do."""
    able = [each for each in (*CORE, *EXTENSIONS) if each in ENGINES[engine]]
    beyond = [each for each in functions if each not in able]
    if beyond:
        raise UsageError(
            f"policy '{name}' cannot run in {engine}, which does not carry out '{beyond[0]}'; take out the function, or"
            f" choose a policy of {', '.join(able)} only"
        )


def _provenance(name: str) -> tuple[dict[str, Any], Sequence[str]]:
    """The record of a candidate of a run, or of a champion beside whose file it lies; nothing of any other."""
    path = Path(name.partition(":")[2] if name.partition(":")[0] in ENTRIES else name)
    if name in known_policies():
        return {}, ()
    if path.is_file():
        return _champion(path.with_suffix(".json"))
    if ":" in name:
        return {}, ()
    folder, label = split_name(name)
    with Archive(folder, "read") as archive:
        record = describe(archive, label)
    kept = {key: record[key] for key in _KEPT if record.get(key)}
    return {**kept, **{split: record[split] for split in SPLITS if split in record}}, _run_scores(record)


def _run_scores(record: Mapping[str, Any]) -> list[str]:
    """The gaps of a candidate of a run."""
    return [
        f"{split}: {record[split]['ratio_gap_pct']:.3f} % above {' or '.join(record[split]['bound_kinds'])} bounds,"
        f" {record[split]['instances']} instances of {record['problem']}"
        for split in SPLITS
        if split in record and record[split]["ratio_gap_pct"] is not None
    ]


def _champion(path: Path) -> tuple[dict[str, Any], Sequence[str]]:
    """The record that `discover accept` keeps beside a champion; nothing if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        trial = record["trial"]
        kept = {key: value for key, value in record["archive_row"].items() if key in (*_KEPT, *SPLITS)}
        gap = trial["gaps"][trial["candidate"]]
        rivals = [f"{rival} {value:.3f} %" for rival, value in trial["gaps"].items() if rival != trial["candidate"]]
        said = [
            f"fresh instances (seed {trial['seed']}, {trial['instances']} of them): {gap:.3f} % above the bounds;"
            f" {', '.join(rivals)}"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}, ()
    return {**kept, "trial": trial}, [*_run_scores({**kept, "problem": record["problem"]}), *said]
