import numpy as np

from problems.registry import load_problem
from problems.smtt.instances import LEVELS, difficulty, generate, grid


def test_instances_are_the_same_on_every_machine_and_day() -> None:
    """The generator is pinned by content: a change of NumPy or code that alters instances would show here."""
    assert generate("train", 50, 0.6, 0.2, 0).digest == "264c85e0a8d9cfebeafb57927a1dd95d"
    assert generate("test", 100, 0.8, 0.4, 3).digest == "d59271d345a03428485091b564dc9b34"


def test_splits_do_not_mix() -> None:
    """No instance of one split occurs in another."""
    problem = load_problem("smtt_dispatch")
    digests = [instance.digest for split in problem.splits for instance in problem.split(split)]
    assert len(digests) == len(set(digests))


def test_due_dates_follow_the_definition() -> None:
    """p in 1 … 100 and d within P(1 − TF ± RDD/2), clipped at 0, with the mean where the definition puts it."""
    for tf in LEVELS:
        for rdd in LEVELS:
            instance = generate("check", 2000, tf, rdd, 0)
            p, d = instance["p"], instance["d"]
            total = p.sum()
            assert p.min() >= 1
            assert p.max() <= 100
            assert d.min() >= max(0, total * (1 - tf - rdd / 2) - 1)
            assert d.max() <= max(0, total * (1 - tf + rdd / 2) + 1)
            if tf + rdd / 2 <= 1:
                assert abs(np.mean(d) / total - (1 - tf)) < 0.05 * rdd


def test_the_grid_has_every_cell() -> None:
    """25 cells, each with its number of instances, all different."""
    instances = grid("check", (5,), per_cell=2)
    assert len({instance.name for instance in instances}) == 50


def test_difficulty_classes() -> None:
    """Three hard cells, five robust ones (TF = .2), the rest regular."""
    classes = [difficulty(tf, rdd) for tf in LEVELS for rdd in LEVELS]
    assert (classes.count("hard"), classes.count("robust"), classes.count("regular")) == (3, 5, 17)
