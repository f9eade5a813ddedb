"""Trials: is a candidate better than every baseline on instances nobody has seen before?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discovery import __version__
from discovery.archive import Archive
from discovery.commands.show import describe
from discovery.config import Config
from discovery.errors import UsageError
from discovery.folders import source_of
from discovery.session import allowance_of
from evaluators.bounds import bounds_of
from evaluators.corrections import spent_on
from evaluators.evaluate import evaluate
from evaluators.evaluation import Evaluation
from evaluators.gaps import aggregate
from evaluators.sandbox.supervisor import Sandbox
from evaluators.statistics import Comparison, compare
from evaluators.verdict import Verdict
from problems.base import Bound, Problem
from problems.registry import load_problem

SIGNIFICANT = 0.01
"""The chance, over all trials of a problem together, that a two-sided Wilcoxon signed-rank test misleads."""
UNCOVERED = 0.05
"""The chance, over all trials of a problem together, that an interval misses the true difference."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate against every baseline on fresh instances drawn with `seed`.

    `gaps`: ratio gap in percent by heuristic; `against`: the comparison with each baseline. `attempt`: the trial's
    number among all of the problem, by which p-values and intervals are corrected (see `corrections.spent_on`). For the
    number of baselines there is no correction: the candidate must beat every one of them.
    """

    problem: str
    run: str
    candidate: str
    seed: int
    attempt: int
    instances: int
    bound_kinds: dict[str, int]
    gaps: dict[str, float | None]
    against: tuple[Comparison, ...]

    @property
    def unbeaten(self) -> list[str]:
        """The baselines it does not clearly beat, in ratio of sums and instance by instance."""
        return [each.rival for each in self.against if not self.beats(each)]

    def beats(self, comparison: Comparison) -> bool:
        """Better in sum, with an interval below zero; more often better than worse, and significantly so."""
        below = comparison.high is not None and comparison.high < 0
        p = self.corrected(comparison)
        return below and comparison.wins > comparison.losses and p is not None and p < SIGNIFICANT

    def corrected(self, comparison: Comparison) -> float | None:
        """The p-value, corrected for the number of candidates tried."""
        p = comparison.wilcoxon_p
        return None if p is None else min(1.0, p / spent_on(self.attempt))

    @property
    def as_json(self) -> dict[str, Any]:
        """The trial as one record."""
        corrected = {each.rival: self.corrected(each) for each in self.against}
        return {**asdict(self), "corrected_p": corrected, "accepted": not self.unbeaten}


def try_out(archive: Archive, label: str, *, seed: int, attempt: int, phase: Callable[[str], None]) -> Trial:
    """Evaluate a candidate and every baseline on fresh instances; `attempt`: the trial's number for its problem.

    Raises:
        UsageError: it is no candidate, has no source or fails, or there is no baseline to beat.
        ProblemError: the problem cannot draw fresh instances.
    """
    baselines = archive.baselines()
    if label in baselines or not baselines:
        what = (
            f"'{label}' is a baseline itself" if baselines else f"run '{archive.folder.name}' has no baseline to beat"
        )
        raise UsageError(f"{what}; accept judges a candidate against baselines: name one, as RUN/NUMBER")
    config = Config.model_validate(archive.config)
    problem = load_problem(config.run.problem)
    instances = problem.fresh(seed)
    phase(f"bounds of {len(instances)} fresh instances")
    bounds = bounds_of(problem, instances)
    sources = {label: source_of(archive, label), **baselines}
    found: dict[str, Evaluation] = {}
    with Sandbox(min_tier=config.evaluation.min_isolation) as sandbox:
        for name, source in sources.items():
            phase(f"{name} on fresh instances")
            found[name] = evaluate(problem, source, instances, sandbox, allowance_of(config))
    ours = found.pop(label)
    if ours.verdict is not Verdict.ok:
        raise UsageError(f"candidate {label} failed on fresh instances: {ours.verdict}: {ours.detail}")
    rivals = {name: each for name, each in found.items() if each.verdict is Verdict.ok}
    return _trial(archive, problem, label, seed, attempt, bounds, ours, rivals)


def _trial(
    archive: Archive,
    problem: Problem,
    label: str,
    seed: int,
    attempt: int,
    bounds: Sequence[Bound],
    ours: Evaluation,
    rivals: dict[str, Evaluation],
) -> Trial:
    values = [bound.value for bound in bounds]
    kinds = [bound.kind for bound in bounds]
    level = 1 - UNCOVERED * spent_on(attempt)
    return Trial(
        problem=problem.name,
        run=archive.folder.name,
        candidate=label,
        seed=seed,
        attempt=attempt,
        instances=len(bounds),
        bound_kinds={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        gaps={name: aggregate(each.costs, values).ratio_gap_pct for name, each in {label: ours, **rivals}.items()},
        against=tuple(compare(ours.costs, each.costs, values, name, level=level) for name, each in rivals.items()),
    )


def record_of(archive: Archive, trial: Trial) -> dict[str, Any]:
    """Everything that is known about a champion: its trial, its row of the archive, its config."""
    row = describe(archive, trial.candidate)
    return {
        "problem": trial.problem,
        "version": __version__,
        "trial": trial.as_json,
        "archive_row": {name: value for name, value in row.items() if name != "source"},
        "config": archive.config,
    }
