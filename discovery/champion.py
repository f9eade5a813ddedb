"""Champions: winners that beat every baseline on instances nobody has seen before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discovery import __version__
from discovery.archive import Archive
from discovery.commands.show import describe
from discovery.config import Config
from discovery.errors import UsageError
from discovery.folders import source_of
from discovery.session import allowance_of
from evaluators.bounds import bounds_of
from evaluators.evaluate import evaluate
from evaluators.evaluation import Evaluation
from evaluators.gaps import aggregate
from evaluators.sandbox.supervisor import Sandbox
from evaluators.statistics import Comparison, compare
from evaluators.verdict import Verdict
from problems.base import Bound, Problem
from problems.registry import load_problem

SIGNIFICANT = 0.01
"""The p-value below which a two-sided Wilcoxon signed-rank test counts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate against every baseline on fresh instances drawn with `seed`.

    `gaps`: ratio gap in percent by heuristic; `against`: the comparison with each baseline. There is no correction
    for several tests: the candidate must pass every one of them.
    """

    problem: str
    run: str
    candidate: str
    seed: int
    instances: int
    bound_kinds: dict[str, int]
    gaps: dict[str, float | None]
    against: tuple[Comparison, ...]

    @property
    def unbeaten(self) -> list[str]:
        """The baselines it does not clearly beat, in ratio of sums and instance by instance."""
        return [each.rival for each in self.against if not beats(each)]


def beats(comparison: Comparison) -> bool:
    """Better in sum, more often better than worse, and significantly so."""
    better = comparison.difference_pct is not None and comparison.difference_pct < 0
    p = comparison.wilcoxon_p
    return better and comparison.wins > comparison.losses and p is not None and p < SIGNIFICANT


def try_out(archive: Archive, label: str, seed: int, phase: Callable[[str], None]) -> Trial:
    """Evaluate a candidate and every baseline on fresh instances.

    Raises:
        UsageError: the candidate has no source, fails, or the problem cannot draw fresh instances.
    """
    config = Config.model_validate(archive.config)
    problem = load_problem(config.run.problem)
    instances = problem.fresh(seed)
    phase(f"bounds of {len(instances)} fresh instances")
    bounds = bounds_of(problem, instances)
    sources = {label: source_of(archive, label), **archive.baselines()}
    found: dict[str, Evaluation] = {}
    with Sandbox(min_tier=config.evaluation.min_isolation) as sandbox:
        for name, source in sources.items():
            phase(f"{name} on fresh instances")
            found[name] = evaluate(problem, source, instances, sandbox, allowance_of(config))
    ours = found.pop(label)
    if ours.verdict is not Verdict.ok:
        raise UsageError(f"candidate {label} failed on fresh instances: {ours.verdict}: {ours.detail}")
    rivals = {name: each for name, each in found.items() if each.verdict is Verdict.ok}
    return _trial(archive, problem, label, seed, bounds, ours, rivals)


def _trial(
    archive: Archive,
    problem: Problem,
    label: str,
    seed: int,
    bounds: Sequence[Bound],
    ours: Evaluation,
    rivals: dict[str, Evaluation],
) -> Trial:
    values = [bound.value for bound in bounds]
    kinds = [bound.kind for bound in bounds]
    return Trial(
        problem=problem.name,
        run=archive.folder.name,
        candidate=label,
        seed=seed,
        instances=len(bounds),
        bound_kinds={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        gaps={name: aggregate(each.costs, values).ratio_gap_pct for name, each in {label: ours, **rivals}.items()},
        against=tuple(compare(ours.costs, each.costs, values, name) for name, each in rivals.items()),
    )


def keep(archive: Archive, trial: Trial, folder: Path) -> Path:
    """Write an accepted champion to `folder`/PROBLEM: its source, and the record of where it comes from.

    Raises:
        UsageError: it is there already.
    """
    path = folder / trial.problem / f"{trial.run}-{trial.candidate}.py"
    if path.exists():
        raise UsageError(f"'{path}' exists: this champion is kept already")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(_record(archive, trial), indent=2) + "\n", encoding="utf-8")
    path.write_text(source_of(archive, trial.candidate), encoding="utf-8")
    return path


def _record(archive: Archive, trial: Trial) -> dict[str, Any]:
    """Everything that is known about a champion: its trial, its row of the archive, its config."""
    row = describe(archive, trial.candidate)
    return {
        "problem": trial.problem,
        "version": __version__,
        "trial": asdict(trial),
        "archive_row": {name: value for name, value in row.items() if name != "source"},
        "config": archive.config,
    }
