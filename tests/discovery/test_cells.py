import random

import pytest

from discovery.cells import WHOLE, Cells, Strengths
from discovery.normal_form import form_of
from discovery.population import Population, Shape
from discovery.proposers.base import Parent
from discovery.seen import Seen

CLASSES = [("hard",), ("hard",), ("easy",), ("easy",), ("solved",)]
BOUNDS = (10.0, 10.0, 10.0, 10.0, 10.0)
BASELINES = [(20.0, 20.0, 12.0, 12.0, 10.0), (30.0, 30.0, 11.0, 11.0, 10.0)]
SHORT = "def priority(p, d, t):\n    return d\n"
LONG = "def priority(p, d, t):\n    x = p + d\n    y = x * t - d / 2\n    return x + y * p - d + t * 3\n"


def strengths() -> Strengths:
    """Over two baselines, one better on hard instances, one on easy ones; nothing is left to gain on `solved`."""
    return Strengths.over(BASELINES, BOUNDS, CLASSES)


def parent(label: str, score: float, source: str = SHORT) -> Parent:
    """A heuristic."""
    return Parent(source, score, label)


@pytest.mark.parametrize(
    ("costs", "strongest"),
    [
        ((15.0, 15.0, 11.0, 11.0, 10.0), "hard"),  # half of the best baseline's excess on hard, all of it on easy
        ((20.0, 20.0, 10.5, 10.5, 10.0), "easy"),
        ((40.0, 40.0, 20.0, 20.0, 10.0), "hard"),  # 3 times against 10 times: its least weakness
        ((20.0, 20.0, 11.0, 11.0, 10.0), "hard"),  # of equals the first
    ],
)
def test_a_heuristic_is_strongest_where_it_is_furthest_ahead(costs: tuple[float, ...], strongest: str) -> None:
    """Its excess over the bounds, as a share of the best baseline's in each class; solved classes tell nothing."""
    assert strengths()(costs) == strongest


def test_without_classes_there_is_one_profile() -> None:
    """Of a problem without classes, or one whose baselines are optimal, only the size is told apart."""
    assert Strengths.over(BASELINES, BOUNDS, [()] * 5)((1.0,) * 5) == WHOLE
    assert Strengths.over([BOUNDS], BOUNDS, CLASSES)((20.0,) * 5) == WHOLE


def test_each_cell_keeps_its_best() -> None:
    """Cells differ by size or by profile; a better one takes the place, of equals the shorter, a worse one does not."""
    cells = Cells(strengths(), form_of)
    hard, easy = (15.0, 15.0, 12.0, 12.0, 10.0), (30.0, 30.0, 10.5, 10.5, 10.0)
    assert cells.add(parent("0", 5.0), hard)
    assert cells.add(parent("1", 9.0), easy)
    assert cells.add(parent("2", 7.0, LONG), hard)
    assert not cells.add(parent("3", 6.0), hard)
    assert cells.add(parent("4", 4.0), hard)
    assert {(size > 4, strongest): elite.label for (size, strongest), elite in cells.elites.items()} == {
        (False, "hard"): "4",
        (False, "easy"): "1",
        (True, "hard"): "2",
    }


def test_parents_are_drawn_evenly_from_the_cells_without_those_had_already() -> None:
    """A worse heuristic of another kind is drawn as often as the best; a second parent is never the first again."""
    cells = Cells(strengths(), form_of)
    cells.add(parent("0", 5.0), (15.0, 15.0, 12.0, 12.0, 10.0))
    cells.add(parent("1", 90.0), (30.0, 30.0, 10.5, 10.5, 10.0))
    drawn = [cells.draw(random.Random(seed), []) for seed in range(400)]
    assert 150 < sum(each is not None and each.label == "1" for each in drawn) < 250
    assert {each.label for seed in range(20) if (each := cells.draw(random.Random(seed), [parent("1", 90.0)]))} == {"0"}
    assert cells.draw(random.Random(0), [parent("0", 5.0), parent("1", 90.0)]) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, (0, 0)), (0.3, (200, 400)), (1.0, (1000, 1000))])
def test_the_population_takes_its_parents_from_the_cells_now_and_then(share: float, expected: tuple[int, int]) -> None:
    """As often as the config says; the rest comes from the islands."""
    cells = Cells(strengths(), form_of)
    cells.add(parent("elite", 90.0), BASELINES[0])
    shape = Shape(islands=1, island_size=4, tournament=2, migration_every=100, cells=share)
    people = Population([parent("seed", 1.0)], shape=shape, weights={"mutate": 1.0}, seed=1, seen=Seen(), cells=cells)
    labels = [people.ask(number).parents[0].label for number in range(1000)]
    assert expected[0] <= labels.count("elite") <= expected[1]
