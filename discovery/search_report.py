"""How a search went: what each operator and each model brought and cost, which duplicates were met, what was learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from discovery.archive import Archive
from discovery.lessons import lesson_in
from discovery.seen import SAME_CODE
from evaluators.verdict import Verdict

JUDGED = """
    SELECT operator, model, verdict, detail, score, input_tokens + output_tokens AS tokens, cost
    FROM outcome JOIN request USING (number) JOIN answer USING (number) ORDER BY number
"""
LESSONS = """
    SELECT text, input_tokens + output_tokens AS tokens, cost FROM answer WHERE number < 0 ORDER BY number DESC
"""


@dataclass(slots=True)
class Effort:
    """What an operator, or a model, did in a run.

    `new`: with a score; `rewritten`: written as an earlier one but for its style, so never evaluated; `alike`: decided
    as an earlier one on the probe instances; `failed`: all others. `best`: the smallest gap on train, in percent;
    `improved`: how often the best of the run became better; `chance`: how often the bandit draws it at the end.
    """

    name: str
    candidates: int = 0
    new: int = 0
    rewritten: int = 0
    alike: int = 0
    failed: int = 0
    improved: int = 0
    best: float | None = None
    tokens: int = 0
    cost: float = 0.0
    chance: float | None = None

    def add(self, judged: Mapping[str, Any], *, improved: bool) -> None:
        """Count a judged candidate."""
        self.candidates += 1
        self.tokens += judged["tokens"]
        self.cost += judged["cost"]
        self.improved += improved
        score = judged["score"]
        if score is not None:
            self.new += 1
            self.best = score if self.best is None else min(self.best, score)
        elif judged["detail"].startswith(SAME_CODE):
            self.rewritten += 1
        elif judged["verdict"] == Verdict.duplicate:
            self.alike += 1
        else:
            self.failed += 1


@dataclass(frozen=True, slots=True)
class Elite:
    """The best of a cell. `size`: binary digits of its number of syntax nodes; `strongest`: the class it is best at."""

    size: int
    strongest: str
    label: str
    gap: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """A run's search in figures. `lesson`: the latest; `lessons`: what all of them took."""

    run: str
    operators: Sequence[Effort]
    models: Sequence[Effort]
    cells: Sequence[Elite] = ()
    lessons: Effort = field(default_factory=lambda: Effort("lessons"))
    lesson: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a record."""
        return asdict(self)


def search_report(archive: Archive) -> SearchReport:
    """The report on a run, as far as it went."""
    rows = archive.query(JUDGED)
    learned = archive.learned()
    drawn = archive.query(LESSONS)
    lessons = Effort("lessons", len(drawn), tokens=sum(r["tokens"] for r in drawn), cost=sum(r["cost"] for r in drawn))
    return SearchReport(
        archive.folder.name,
        _efforts(rows, "operator", learned.get("operators", {})),
        _efforts(rows, "model", learned.get("models", {})),
        [Elite(**each) for each in learned.get("cells", ())],
        lessons,
        lesson_in(drawn[-1]["text"]) if drawn else "",
    )


def _efforts(rows: Iterable[Mapping[str, Any]], key: str, shares: Mapping[str, Mapping[str, float]]) -> list[Effort]:
    """The rows grouped by a key, those with most candidates first."""
    found: dict[str, Effort] = {}
    best = float("inf")
    for row in rows:
        improved = row["score"] is not None and row["score"] < best
        best = row["score"] if improved else best
        found.setdefault(row[key], Effort(row[key])).add(row, improved=improved)
    for name, share in shares.items():
        found.setdefault(name, Effort(name)).chance = share["chance"]
    return sorted(found.values(), key=lambda effort: -effort.candidates)
