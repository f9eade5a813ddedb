from pathlib import Path

import numpy as np
import pytest

from evaluators.bounds import BoundsError, bounds_of, load_bounds, save_bounds
from problems.base import Bound, Instance
from problems.registry import load_problem
from problems.smtt.problem import total_tardiness


def test_bounds_survive_being_stored(tmp_path: Path) -> None:
    """What is written is what is read, by content hash."""
    instances = [Instance(str(i), {"p": np.array([i, 1]), "d": np.array([0, 1])}) for i in range(3)]
    bounds = [Bound(float(i), "optimal", "m", 0.1, float(i), (0, 1), {"states": 3}) for i in range(3)]
    save_bounds(tmp_path / "b.jsonl", instances, bounds)
    stored = load_bounds(tmp_path)
    assert [stored[instance.digest] for instance in instances] == bounds


def test_only_missing_bounds_are_computed() -> None:
    """A stored bound is looked up; an unknown instance is bounded on the spot."""
    problem = load_problem("smtt")
    known, unknown = problem.split("train")[0], Instance("x", {"p": np.array([2, 1]), "d": np.array([0, 0])})
    computed: list[str] = []
    solve = problem.bound

    def count(instance: Instance) -> Bound:
        computed.append(instance.name)
        return solve(instance)

    problem.bound = count  # type: ignore[method-assign]
    bounds = bounds_of(problem, [known, unknown])
    assert computed == ["x"]
    assert bounds[1].value == 4.0


def test_a_damaged_file_of_bounds_is_named(tmp_path: Path) -> None:
    """The message says which file and line."""
    (tmp_path / "b.jsonl").write_text('{"instance": "x"\n')
    with pytest.raises(BoundsError, match=r"b\.jsonl, line 1"):
        load_bounds(tmp_path)


@pytest.mark.parametrize("split", ["probe", "train", "validation", "test", "paper"])
def test_every_standard_instance_ships_with_its_proven_optimum(split: str) -> None:
    """Each shipped bound is marked optimal, and its shipped sequence attains exactly its value."""
    problem = load_problem("smtt")
    stored = load_bounds(problem.bounds)
    for instance in problem.split(split):
        bound = stored[instance.digest]
        assert bound.kind == "optimal"
        order = np.array(bound.solution)
        problem.check(instance, order)
        assert total_tardiness(instance["p"], instance["d"], order) == bound.value == bound.best


def test_shipped_optima_are_those_the_solver_finds() -> None:
    """Recomputing a sample of every split, n = 500 included, gives the shipped values."""
    problem = load_problem("smtt")
    stored = load_bounds(problem.bounds)
    for split in ("train", "validation", "test", "paper"):
        for instance in problem.split(split)[::9]:
            assert problem.bound(instance).value == stored[instance.digest].value
