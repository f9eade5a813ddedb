"""What a study found: the best gap against what was spent, over seeds."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from discovery.archive import Archive
from discovery.develop import train_score
from discovery.leaderboard import leaderboard
from evaluators.statistics import Median, median_of
from evaluators.verdict import Verdict
from problems.registry import load_problem

Axis = Literal["calls", "candidates"]
FIRST_CHECKPOINT = 25
CHECKPOINTS = 4


@dataclass(frozen=True, slots=True)
class Course:
    """How one run went, candidate by candidate: calls made up to each, and the best train gap (percent) so far.

    The gap before any candidate, `start`, is that of the best seed. `test_gap`: that of the best on validation, or
    of the best baseline, if that is better there; None where every bound is zero.
    """

    seed: int
    start: float
    calls: tuple[int, ...]
    gaps: tuple[float, ...]
    valid: float
    new: float
    tokens: int
    cost: float
    test_gap: float | None

    def spent(self, axis: Axis) -> int:
        """Calls or candidates in all."""
        return len(self.gaps) if axis == "candidates" else max(self.calls, default=0)

    def gap_after(self, spent: int, axis: Axis) -> float:
        """The best gap after so many calls or candidates."""
        judged = spent if axis == "candidates" else bisect.bisect_right(self.calls, spent)
        return self.gaps[min(judged, len(self.gaps)) - 1] if judged else self.start


def course_of(archive: Archive) -> Course:
    """The course of a run that has ended."""
    start = _start(archive)
    made = [call.number for call in archive.calls() if call.outcome != "unreachable"]
    last = {number: order for order, number in enumerate(made, 1)}
    calls, gaps, done, best = [], [], 0, start
    rows = archive.query("SELECT number, score, verdict FROM outcome ORDER BY number")
    for row in rows:
        done = max(done, last.get(row["number"], 0))
        best = min(best, row["score"]) if row["score"] is not None else best
        calls.append(done)
        gaps.append(best)
    verdicts = [row["verdict"] for row in rows]
    spent = archive.query(
        "SELECT coalesce(sum(input_tokens + output_tokens), 0) AS tokens, sum(cost) AS cost FROM answer"
    )
    return Course(
        seed=archive.meta()["seed"],
        start=start,
        calls=tuple(calls),
        gaps=tuple(gaps),
        valid=sum(verdict in (Verdict.ok, Verdict.duplicate) for verdict in verdicts) / max(len(verdicts), 1),
        new=verdicts.count(Verdict.ok) / max(len(verdicts), 1),
        tokens=spent[0]["tokens"],
        cost=spent[0]["cost"] or 0.0,
        test_gap=next((row.gap("test") for row in leaderboard(archive) if "test" in row.scores), None),
    )


def _start(archive: Archive) -> float:
    """The train gap of the best heuristic that the islands start from; infinite if there is none."""
    seeds = archive.config["search"]["seeds"]
    chosen = load_problem(archive.config["run"]["problem"]).seeds if seeds is None else seeds
    bounds = tuple(instance.bound for instance in archive.instances("train"))
    found = [archive.evaluation(name, "train") for name in (*chosen, *archive.meta().get("champions", ()))]
    scores = [train_score(each, bounds) for each in found if each is not None]
    return min((score for score in scores if score is not None), default=float("inf"))


@dataclass(frozen=True, slots=True)
class Summary:
    """An arm over its seeds: medians with bootstrap intervals.

    `after`: best train gap by checkpoint; `difference`: at the last of them, minus that of the study's first arm with
    the same seed (below zero: better than it), None for the first arm itself, or where one of the two found nothing.
    """

    arm: str
    seeds: tuple[int, ...]
    after: dict[int, Median]
    difference: Median | None
    test_gap: Median | None
    calls: float
    tokens: float
    cost: float
    valid: float
    new: float

    def as_json(self) -> dict[str, Any]:
        """The summary as one record."""
        return asdict(self)


def axis_of(courses: Sequence[Course]) -> Axis:
    """What all courses can be drawn against: calls if every run made some, else candidates."""
    return "calls" if courses and all(course.spent("calls") for course in courses) else "candidates"


def checkpoints(most: int) -> list[int]:
    """25, 50, 100 … up to `most`, and `most`: the last four of them."""
    found = [FIRST_CHECKPOINT * 2**power for power in range(40) if FIRST_CHECKPOINT * 2**power < most]
    return [*found, most][-CHECKPOINTS:]


def summarise(courses: dict[str, list[Course]], axis: Axis) -> list[Summary]:
    """The arms in their order, the first one what the others are compared with; arms without a run are left out."""
    held = {arm: found for arm, found in courses.items() if found}
    most = max((course.spent(axis) for found in held.values() for course in found), default=0)
    reference = {course.seed: course for course in next(iter(held.values()), [])}
    return [
        _summary(arm, found, reference if number else {}, checkpoints(most), axis)
        for number, (arm, found) in enumerate(held.items())
    ]


def _summary(
    arm: str, courses: Sequence[Course], reference: dict[int, Course], places: Sequence[int], axis: Axis
) -> Summary:
    last = places[-1]
    pairs = [
        (course.gap_after(last, axis), reference[course.seed].gap_after(last, axis))
        for course in courses
        if course.seed in reference
    ]
    paired = [gap - other for gap, other in pairs if math.isfinite(gap) and math.isfinite(other)]
    tested = [course.test_gap for course in courses if course.test_gap is not None]
    count = len(courses)
    return Summary(
        arm=arm,
        seeds=tuple(course.seed for course in courses),
        after={place: median_of([course.gap_after(place, axis) for course in courses]) for place in places},
        difference=median_of(paired) if paired else None,
        test_gap=median_of(tested) if tested else None,
        calls=sum(course.spent("calls") for course in courses) / count,
        tokens=sum(course.tokens for course in courses) / count,
        cost=sum(course.cost for course in courses) / count,
        valid=sum(course.valid for course in courses) / count,
        new=sum(course.new for course in courses) / count,
    )
