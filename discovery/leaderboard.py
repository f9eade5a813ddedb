"""The leaderboard of a run: baselines and discovered heuristics side by side, best on validation first."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import asdict, dataclass
from typing import Any

from discovery.archive import Archive
from discovery.engine_scores import EngineScore
from discovery.scoring import Score, score
from evaluators.corrections import holm

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One heuristic. `scores` by split; `comparison`: against the best baseline on test, as stored; that of a candidate
    has `corrected_p` too, for all candidates of its run that were tested (Holm).

    `isolation`: the tiers its run was evaluated in. `engine`: what it was worth on a real engine, if it was tried.
    """

    run: str
    problem: str
    heuristic: str
    origin: str
    isolation: str
    scores: dict[str, Score]
    comparison: dict[str, Any] | None
    engine: EngineScore | None = None

    def gap(self, split: str) -> float:
        """The ratio gap on a split in percent; infinite where there is none, so that it sorts last."""
        found = self.scores.get(split)
        value = found.gaps.ratio_gap_pct if found and found.gaps else None
        return math.inf if value is None else value

    def as_json(self) -> dict[str, Any]:
        """The row as one record."""
        record = {name: value for name, value in asdict(self).items() if name not in ("scores", "engine")}
        if self.engine is not None:
            record["engine"] = self.engine.as_json()
        return {**record, **{split: each.as_json() for split, each in self.scores.items()}}


def leaderboard(archive: Archive, limit: int | None = None) -> list[Row]:
    """All baselines, and every candidate evaluated on validation (the best `limit` of them).

    Validation chooses; test is shown for those that were chosen, and never sorts.
    """
    meta = archive.meta()
    origins = {
        str(row["number"]): f"{row['model']}: {row['operator']}"
        for row in archive.query(
            "SELECT number, model, operator FROM answer JOIN request USING (number) WHERE CAST(number AS TEXT)"
            " IN (SELECT heuristic FROM evaluation WHERE split = 'validation')"
        )
    }
    instances = {split: archive.instances(split) for split in SPLITS}
    comparisons = _corrected(archive.comparisons("test"), origins)
    baselines = archive.baselines()
    isolation = " and ".join(archive.isolation())
    replay = archive.engine_replay()
    rows = []
    for heuristic in [*baselines, *origins]:
        evaluations = {split: archive.evaluation(heuristic, split) for split in SPLITS}
        rows.append(
            Row(
                run=archive.folder.name,
                problem=meta["problem"],
                heuristic=heuristic,
                origin=origins.get(heuristic, "baseline"),
                isolation=isolation,
                scores={split: score(each, instances[split]) for split, each in evaluations.items() if each},
                comparison=comparisons.get(heuristic),
                engine=None if replay is None else replay.score(heuristic),
            )
        )
    rows.sort(key=lambda row: (row.gap("validation"), row.gap("train"), row.heuristic))
    kept = [row for row in rows if row.origin != "baseline"][:limit]
    return [row for row in rows if row.origin == "baseline" or row in kept]


def _corrected(comparisons: dict[str, Any], candidates: Container[str]) -> dict[str, Any]:
    """Comparisons with the p-values of candidates corrected: of several tested, one is easily better by chance."""
    found = {name: each["wilcoxon_p"] for name, each in comparisons.items() if name in candidates}
    corrected = holm({name: p for name, p in found.items() if p is not None})
    return {
        name: {**each, "corrected_p": corrected.get(name)} if name in found else each
        for name, each in comparisons.items()
    }
