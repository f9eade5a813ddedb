"""Ranks across runs: the heuristics of every run of a problem, as far as they were measured alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from discovery.archive import Archive
from discovery.champions import CHAMPIONS, kept
from discovery.errors import DiscoverError, UsageError
from discovery.folders import source_of
from discovery.leaderboard import SPLITS, Row, leaderboard
from evaluators.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Measures:
    """What a run measured with: by split the content hashes and bounds of its instances, and what baselines cost there.

    A baseline is known by its name and source: where one and the same costs something else, the evaluation changed.
    """

    instances: dict[str, list[str]]
    bounds: dict[str, list[float]]
    costs: dict[tuple[str, str, str], tuple[float, ...]]

    def differ(self, other: Measures) -> str | None:
        """Why figures made with these cannot stand beside those made with `other`; None if they can."""
        if self.instances != other.instances:
            return "other instances"
        if self.bounds != other.bounds:
            return "other bounds"
        both = self.costs.keys() & other.costs.keys()
        changed = sorted(key for key in both if self.costs[key] != other.costs[key])
        return f"baseline {changed[0][0]} cost something else on {changed[0][2]}" if changed else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A problem's heuristics, best on validation first: of `runs`, newest first; `left_out`: why, by run."""

    problem: str
    rows: list[Row]
    runs: list[str]
    left_out: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The standing as one record."""
        return {**asdict(self), "rows": [row.as_json() for row in self.rows]}


@dataclass(frozen=True, slots=True)
class _Run:
    name: str
    problem: str
    began: float
    measures: Measures
    rows: list[Row]
    sources: dict[str, str]


def standings(folders: Iterable[Path], limit: int, champions: Path = CHAMPIONS) -> tuple[list[Standing], list[str]]:
    """One standing per problem, and what is wrong with runs that cannot be read.

    Of each problem the newest run says what is comparable. A heuristic that several runs hold is shown once, where it
    came up first; the best `limit` are shown, beside all baselines. Accepted winners are marked.
    """
    runs: list[_Run] = []
    unreadable = []
    for folder in folders:
        try:
            with Archive(folder, "read") as archive:
                runs.append(_read(archive))
        except (DiscoverError, UsageError) as error:
            unreadable.append(str(error))
    runs.sort(key=lambda run: run.began, reverse=True)
    problems = sorted({run.problem for run in runs})
    return [_standing([run for run in runs if run.problem == name], limit, champions) for name in problems], unreadable


def _read(archive: Archive) -> _Run:
    meta = archive.meta()
    rows = leaderboard(archive)
    instances = {split: archive.instances(split) for split in SPLITS}
    return _Run(
        name=archive.folder.name,
        problem=meta["problem"],
        began=archive.query("SELECT min(at) AS at FROM event")[0]["at"],
        measures=Measures(
            {split: [each.digest for each in found] for split, found in instances.items()},
            {split: [each.bound for each in found] for split, found in instances.items()},
            _costs(archive),
        ),
        rows=rows,
        sources={row.heuristic: source_of(archive, row.heuristic) for row in rows},
    )


def _costs(archive: Archive) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """Costs of the baselines by name, source and split; a baseline that ran into a limit says nothing."""
    found = {}
    for name, source in archive.baselines().items():
        for split in SPLITS:
            evaluation = archive.evaluation(name, split)
            if evaluation is not None and evaluation.verdict is Verdict.ok:
                found[name, source, split] = evaluation.costs
    return found


def _standing(runs: Sequence[_Run], limit: int, champions: Path) -> Standing:
    """The standing of one problem; `runs`: newest first."""
    reasons = {run.name: run.measures.differ(runs[0].measures) for run in runs}
    alike = [run for run in runs if reasons[run.name] is None]
    accepted = kept(runs[0].problem, champions)
    shown: dict[str, Row] = {}
    for run in reversed(alike):  # the oldest first: that is where a heuristic came up
        for row in run.rows:
            source = run.sources[row.heuristic]
            if source not in shown or math.isinf(shown[source].gap("validation")):
                named = f"{row.run}-{row.heuristic}" in accepted and row.origin != "baseline"
                shown[source] = replace(row, origin=f"{row.origin}, accepted") if named else row
    rows = sorted(shown.values(), key=lambda row: (row.gap("validation"), row.gap("train"), row.run, row.heuristic))
    best = [row for row in rows if row.origin != "baseline"][:limit]
    return Standing(
        problem=runs[0].problem,
        rows=[row for row in rows if row.origin == "baseline" or row in best],
        runs=[run.name for run in alike],
        left_out={name: reason for name, reason in reasons.items() if reason is not None},
    )
