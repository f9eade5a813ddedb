import numpy as np
import pytest
from hypothesis import given, settings

from evaluators.bounds import load_bounds
from problems.base import Instance
from problems.batch_order.bounding import LADDERS, certify
from problems.batch_order.instances import FAMILIES, generate
from problems.batch_order.ladder import kv, prefill, tokens
from problems.batch_order.mip import build
from problems.batch_order.problem import BatchOrdering
from problems.batch_order.schedule import check_schedule, completion_times
from problems.batch_order.trusted import trusted_asks
from problems.mip import solve_model
from tests.problems.batch_order.lab import PROBLEMS, instance, instances, optimum

by_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


@by_problem
@settings(max_examples=100, deadline=None)
@given(case=instances())
def test_every_bound_is_below_the_optimum_and_every_heuristic_above(problem: BatchOrdering, case: Instance) -> None:
    """The optimum is found by trying everything, so neither side is judged by itself."""
    best = optimum(case, problem.objective)
    for value, method in LADDERS[problem.objective](case):
        assert value <= best, method
    for ask in trusted_asks(problem.baselines):
        decision = problem.decide(case, ask)
        problem.check(case, decision)
        assert problem.cost(case, decision) >= best


@by_problem
@settings(max_examples=30, deadline=None)
@given(case=instances())
def test_the_program_finds_the_optimum(problem: BatchOrdering, case: Instance) -> None:
    """A bound that is called optimal is the optimum, and comes with a schedule that costs as much."""
    schedules = [problem.decide(case, trusted_asks(problem.baselines)[0])]
    bound = certify(case, problem.objective, schedules)
    assert bound.kind == "optimal"
    assert bound.value == bound.best == optimum(case, problem.objective)
    solution = np.array(bound.solution).reshape(-1, 3)
    problem.check(case, solution)
    assert problem.cost(case, solution) == bound.best


@by_problem
@settings(max_examples=20, deadline=None)
@given(case=instances())
def test_the_relaxed_program_stays_below(problem: BatchOrdering, case: Instance) -> None:
    """The time-indexed LP, used where the program is too large, is a bound too; so is a horizon that is too short."""
    best = optimum(case, problem.objective)
    if problem.objective == "completion":
        horizon = int(case["arrival"].max()) + 2
    else:
        horizon = best if problem.objective == "makespan" else 0
    program = build(case, problem.objective, horizon)
    if not any(program.finished):
        return
    for variable in (variable for row in program.finished for variable in row):
        variable.cat = "Continuous"
    assert solve_model(program.model, max_nodes=0).value <= best + 1e-6


def test_profiles_are_what_a_late_prefill_uses() -> None:
    """Areas and centroids against sums over the iterations, for a prompt of three chunks and five output tokens."""
    case = instance([10], [5], [0], 4, 20, None)
    used = {0: 2, 1: 4, 2: 4, 3: 1, 4: 1, 5: 1, 6: 1}  # prefilled as late as possible, finished in iteration 2
    held = {0: 2, 1: 6, 2: 10, 3: 11, 4: 12, 5: 13, 6: 14}
    prompt = {t: used[t] for t in range(3)}
    for profile, uses in ((tokens(case), used), (kv(case), held), (prefill(case), prompt)):
        area = sum(uses.values())
        centroid = sum(amount * (t + 0.5) for t, amount in uses.items()) / area
        assert profile.area[0] == area
        assert profile.slack[0] == pytest.approx(7 - centroid)


def test_a_stalled_decode_could_beat_the_optimum_but_is_no_schedule_here() -> None:
    """The example that sets this problem apart from pausing schedulers: B = 1, 11 against 10."""
    case = instance([1, 1], [5, 1], [0, 2], 1, 10, [99, 99])
    assert optimum(case, "completion") == 11


@pytest.mark.parametrize("family", FAMILIES)
def test_large_instances_get_a_bound_without_the_program(family: str) -> None:
    """For 60 requests of every family the largest rung is positive, and the best schedule valid and above it."""
    problem = PROBLEMS[0]
    case = generate("check", family, 60, 0, deadlines=False)
    bound = certify(case, "completion", [problem.decide(case, trusted_asks(problem.baselines)[0])])
    assert bound.kind == "lower" and 0 < bound.value < bound.best
    solution = np.array(bound.solution).reshape(-1, 3)
    check_schedule(case, solution)
    assert completion_times(case, solution).sum() == bound.best


@by_problem
def test_the_bounds_of_the_standard_splits_are_shipped(problem: BatchOrdering) -> None:
    """Every instance is found by its content; the stored solution is a schedule and costs what is said."""
    stored = load_bounds(problem.bounds)
    for split in problem.splits:
        for case in problem.split(split):
            bound = stored[case.digest]
            solution = np.array(bound.solution).reshape(-1, 3)
            problem.check(case, solution)
            assert problem.cost(case, solution) == bound.best >= bound.value
            assert (bound.kind == "optimal") == (bound.value == bound.best)


@by_problem
def test_the_baseline_to_beat_is_the_best_one_on_validation(problem: BatchOrdering) -> None:
    """By the sum of costs, the primary score."""
    names = [path.stem for path in sorted(problem.baselines.glob("*.py"))]
    totals = dict.fromkeys(names, 0.0)
    for case in problem.split("validation"):
        for name, ask in zip(names, trusted_asks(problem.baselines), strict=True):
            totals[name] += problem.cost(case, problem.decide(case, ask))
    assert min(totals, key=totals.__getitem__) == problem.best_baseline
