"""The baseline files of both SMTT problems, loaded as a candidate is: from the file, with no package around."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.smtt.instances import grid
from problems.smtt.problem import total_tardiness

FOLDER = Path(__file__).parents[3] / "problems" / "smtt" / "baselines"
DISPATCH = ("atc", "covert", "edd", "mdd", "mddc", "panneerselvam", "spt")
SCHEDULE = (*DISPATCH, "augmdd", "augmddc", "eddc", "mdd_insertion", "psk", "wi")

Pair = tuple[np.ndarray, np.ndarray]


def load(kind: str, name: str) -> ModuleType:
    """The module of one baseline file."""
    spec = importlib.util.spec_from_file_location(f"{kind}_{name}", FOLDER / kind / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PRIORITY: dict[str, Callable[..., np.ndarray]] = {name: load("dispatch", name).priority for name in DISPATCH}
ORDER: dict[str, Callable[..., np.ndarray]] = {name: load("schedule", name).schedule for name in SCHEDULE}
mdd_insertion = load("schedule", "mdd_insertion")


def cost(name: str, p: np.ndarray, d: np.ndarray) -> float:
    """Total tardiness of a `schedule` baseline's answer."""
    return total_tardiness(p, d, ORDER[name](p, d))


def random_pairs(count: int, largest: int, seed: int = 7) -> Iterator[Pair]:
    """Small instances of whole numbers, some p and d equal, some 0."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n = int(rng.integers(1, largest + 1))
        p = rng.integers(0, 12, n)
        yield p, rng.integers(0, p.sum() + 1, n)


def dispatch(priority: Callable[..., np.ndarray], p: np.ndarray, d: np.ndarray) -> list[int]:
    """What the dispatch driver does: remaining jobs sorted by (d, p), lowest score next, ties to the first."""
    rest, order, t = np.lexsort((p, d)).tolist(), [], 0.0
    while rest:
        order.append(rest.pop(int(np.argmin(priority(p[rest], d[rest], t)))))
        t += float(p[order[-1]])
    return order


@st.composite
def jobs(draw: st.DrawFn) -> Pair:
    """Processing times and due dates: whole numbers or multiples of 0.1, with many ties and zeros."""
    number = st.integers(0, draw(st.sampled_from((1, 5, 40))))
    pairs = draw(st.lists(st.tuples(number, number), min_size=1, max_size=12))
    p, d = np.array(pairs, dtype=np.int64).T.copy()
    return (p, d) if draw(st.booleans()) else (p * 0.1, d * 0.1)


# The files


def test_every_file_is_listed_here() -> None:
    """No baseline escapes these tests, and none of those listed is missing."""
    assert {path.stem for path in (FOLDER / "dispatch").glob("*.py")} == set(DISPATCH)
    assert {path.stem for path in (FOLDER / "schedule").glob("*.py")} == set(SCHEDULE)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.py")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_says_where_it_comes_from(path: Path) -> None:
    """The docstring has a source, a tag of one of the two forms, and the deviations; NumPy is all it imports."""
    doc = load(path.parent.name, path.stem).__doc__ or ""
    lines = doc.splitlines()
    assert any(line.startswith("Source: ") for line in lines)
    assert sum(line == "Tag: faithful" or line.startswith("Tag: inspired by ") for line in lines) == 1
    assert any(line.startswith("Deviations: ") for line in lines)
    imports = [line for line in path.read_text().splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import numpy as np"]


# What every baseline guarantees


@pytest.mark.parametrize("name", SCHEDULE)
@settings(max_examples=60, deadline=None)
@given(jobs())
def test_the_answer_is_a_permutation_and_the_input_stays_as_it_was(name: str, pair: Pair) -> None:
    """Whole numbers and floats, one job and two, equal jobs, p = 0: an int64 permutation, read-only input
    accepted, no division by zero, no invalid operation, no overflow.
    """
    p, d = pair
    p.setflags(write=False)
    d.setflags(write=False)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        order = ORDER[name](p, d)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(len(p)))


@pytest.mark.parametrize("name", DISPATCH)
@settings(max_examples=60, deadline=None)
@given(jobs(), st.integers(0, 50))
def test_a_score_is_finite_for_every_job_and_the_input_stays_as_it_was(name: str, pair: Pair, t: int) -> None:
    """The same for the dispatching form, at any time."""
    p, d = pair
    p.setflags(write=False)
    d.setflags(write=False)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        score = PRIORITY[name](p, d, float(t))
    assert score.shape == p.shape
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", SCHEDULE)
def test_equal_jobs_and_single_jobs(name: str) -> None:
    """One job, two equal jobs, and jobs that are all zero, in both number types."""
    for n in (1, 2, 3):
        for value in (0, 3):
            for dtype in (np.int64, np.float64):
                same = np.full(n, value, dtype)
                assert sorted(ORDER[name](same, same).tolist()) == list(range(n))


@pytest.mark.parametrize("name", DISPATCH)
def test_both_forms_of_a_rule_cost_the_same(name: str) -> None:
    """`priority`, driven as the dispatch driver does with floats, and `schedule` are one rule."""
    pairs = [(i["p"], i["d"]) for i in grid("train", [25], 1)] + list(random_pairs(50, 10))
    for p, d in pairs:
        order = np.array(dispatch(PRIORITY[name], p.astype(float), d.astype(float)))
        assert total_tardiness(p, d, order) == cost(name, p, d)


# Hand-worked examples


@pytest.mark.parametrize(
    ("p", "d", "order", "tardiness"),
    [
        # SPT order: 1 (p 2, d 20), 2 (p 3, d 3), 0 (p 4, d 2).
        # Job 2 against job 1: due earlier (3 < 20), and job 1 ends at 2 < 20, so it is early: interchange → 2 1 0.
        # Job 0 against job 1: due earlier (2 < 20), and job 1 ends at 3 + 2 = 5 < 20: interchange → 2 0 1.
        # Job 0 against job 2: due earlier (2 < 3), but job 2 ends at 3, not before its due date 3: stay.
        # 2 0 1 ends at 3, 7, 9: tardiness 0 + 5 + 0 = 5. (EDD 0 2 1: 2 + 4 + 0 = 6; SPT 1 2 0: 0 + 2 + 7 = 9.)
        ([4, 2, 3], [2, 20, 3], [2, 0, 1], 5),
        # The same with the due dates 3 and 4 for 2 and 3: in the last comparison job 2 ends at 3 < 4, so it is
        # early and gives way → 0 2 1, which is EDD: ends at 4, 7, 9, tardiness 1 + 3 + 0 = 4.
        ([4, 2, 3], [3, 20, 4], [0, 2, 1], 4),
        # SPT order: 0 (p 1, d 1), 1 (p 2, d 0). Job 1 is due earlier, but job 0 ends at 1, not before 1: SPT stays.
        # Ends at 1, 3: tardiness 0 + 3 = 3. (EDD 1 0: 2 + 2 = 4.)
        ([1, 2], [1, 0], [0, 1], 3),
    ],
)
def test_eddc_by_hand(p: list[int], d: list[int], order: list[int], tardiness: int) -> None:
    """EDDC takes the interchanges of its definition; in the first example it differs from both EDD and SPT."""
    times, dues = np.array(p), np.array(d)
    assert ORDER["eddc"](times, dues).tolist() == order
    assert cost("eddc", times, dues) == tardiness


def test_eddc_differs_from_both_its_ends() -> None:
    """The first hand-worked example again, with EDD and SPT beside it."""
    p, d = np.array([4, 2, 3]), np.array([2, 20, 3])
    assert ORDER["edd"](p, d).tolist() == [0, 2, 1]
    assert ORDER["spt"](p, d).tolist() == [1, 2, 0]
    assert [cost(name, p, d) for name in ("eddc", "edd", "spt")] == [5, 6, 9]


def test_mddc_by_hand_where_it_beats_mdd() -> None:
    """MDDC on p = 4 2 3, d = 1 4 5, every score worked out; each ρ is a simple fraction.

    t = 0, p_max = 4, p̄ = 3. Job 0: ρ = 4/4, ρ²/(1 + ρ²) = 1/2, max(4.4, 1)·1.5 + 4/3 = 6.6 + 1.33… = 7.93…;
    job 1: ρ = 2/4, 1/5, max(2.2, 4)·1.2 + 2/3 = 4.8 + .66… = 5.46…; job 2: ρ = 3/4, 9/25,
    max(3.3, 5)·1.36 + 3/3 = 6.8 + 1 = 7.8. Job 1 goes first.
    t = 2, p_max = 4, p̄ = 3.5. Job 0: ρ = 4/6, 4/13, max(6.4, 1)·17/13 + 4/5.5 = 8.36… + .72… = 9.09…;
    job 2: ρ = 3/6, 1/5, max(5.3, 5)·1.2 + 3/5.5 = 6.36 + .54… = 6.90…. Job 2 goes next, job 0 last.
    1 2 0 ends at 2, 5, 9: tardiness 0 + 0 + 8 = 8. MDD takes job 0 first (4, 4, 5, and d = 1 before d = 4),
    then job 1: 0 1 2 ends at 4, 6, 9: 3 + 2 + 4 = 9.
    """
    p, d = np.array([4, 2, 3]), np.array([1, 4, 5])
    assert PRIORITY["mddc"](p, d, 0.0) == pytest.approx([6.6 + 4 / 3, 4.8 + 2 / 3, 7.8])
    assert PRIORITY["mddc"](p[[0, 2]], d[[0, 2]], 2.0) == pytest.approx([6.4 * 17 / 13 + 4 / 5.5, 6.36 + 3 / 5.5])
    assert ORDER["mddc"](p, d).tolist() == [1, 2, 0]
    assert ORDER["mdd"](p, d).tolist() == [0, 1, 2]
    assert [cost(name, p, d) for name in ("mddc", "mdd")] == [8, 9]


def test_mddc_by_hand_where_mdd_beats_it() -> None:
    """MDDC on p = 3 2 4, d = 20 5 4: it puts off the long job 2 that MDD takes in time.

    t = 0, p_max = 4, p̄ = 3. Job 0: max(3.3, 20)·1.36 + 1 = 28.2; job 1: max(2.2, 5)·1.2 + 2/3 = 6.66…;
    job 2: max(4.4, 4)·1.5 + 4/3 = 7.93…. Job 1 goes first.
    t = 2, p_max = 4, p̄ = 3.5. Job 0: max(5.3, 20)·1.2 + 3/5.5 = 24.54…; job 2: max(6.4, 4)·17/13 + 4/5.5 =
    9.09…. Job 2 goes next. 1 2 0 ends at 2, 6, 9: tardiness 0 + 2 + 0 = 2. MDD, with max(t + p, d) = 20, 5, 4,
    takes job 2 first: 2 1 0 ends at 4, 6, 9: 0 + 1 + 0 = 1.
    """
    p, d = np.array([3, 2, 4]), np.array([20, 5, 4])
    assert PRIORITY["mddc"](p, d, 0.0) == pytest.approx([28.2, 6 + 2 / 3, 6.6 + 4 / 3])
    assert ORDER["mddc"](p, d).tolist() == [1, 2, 0]
    assert ORDER["mdd"](p, d).tolist() == [2, 1, 0]
    assert [cost(name, p, d) for name in ("mddc", "mdd")] == [2, 1]


def test_atc_tells_jobs_with_long_slacks_apart() -> None:
    """p = 9 1, d = 10000 10001, so K·p̄ = 10 and the slacks are 9991 and 10000. The exponents −999.1 and −1000
    both underflow to 0; in logarithms log 9 + 999.1 = 1001.29… against log 1 + 1000 puts job 1 first.
    """
    p, d = np.array([9, 1]), np.array([10000, 10001])
    assert ORDER["atc"](p, d).tolist() == [1, 0]
    assert np.exp(-9991 / 10) == np.exp(-10000 / 10) == 0


def test_covert_without_urgency_is_edd() -> None:
    """All slacks beyond k·p: every index is 0 and the due dates decide; one urgent job goes before them all."""
    p, d = np.array([1, 2, 3]), np.array([90, 80, 70])
    assert ORDER["covert"](p, d).tolist() == [2, 1, 0]
    p, d = np.array([1, 2, 60]), np.array([90, 80, 100])  # only job 2 has slack 40 < 2·60
    assert ORDER["covert"](p, d)[0] == 2


# Against plain statements of the definitions


def plain_eddc(p: list[int], d: list[int]) -> list[int]:
    """EDDC with its sum written out."""
    order = sorted(range(len(p)), key=lambda j: (p[j], d[j], j))
    for i in range(1, len(p)):
        j = i
        while j > 0 and d[order[j]] < d[order[j - 1]]:
            if d[order[j - 1]] > sum(p[job] for job in order[:j]):
                order[j], order[j - 1] = order[j - 1], order[j]
            j -= 1
    return order


def plain_psk(p: list[int], d: list[int]) -> list[int]:
    """PSK, test by test."""
    rest = sorted(range(len(p)), key=lambda j: (p[j], d[j], j))
    order, t = [], 0
    while rest:
        i = rest[0]
        if t + p[i] < d[i]:
            for j in rest[1:]:
                if d[i] <= t + p[j]:
                    break
                if d[i] <= d[j]:
                    continue
                i = j
                if t + p[j] >= d[j]:
                    break
        order.append(i)
        rest.remove(i)
        t += p[i]
    return order


def plain_augmented(priority: Callable[..., np.ndarray], p: np.ndarray, d: np.ndarray) -> list[int]:
    """Dispatching by `priority`; after each append, every job is moved to the end in turn and costed anew."""
    rest, order = np.lexsort((p, d)).tolist(), []
    while rest:
        t = float(p[order].sum()) if order else 0.0
        order.append(rest.pop(int(np.argmin(priority(p[rest], d[rest], t)))))
        moved = [order, *([*order[:i], *order[i + 1 :], order[i]] for i in range(len(order) - 1))]
        order = min(moved, key=lambda trial: total_tardiness(p, d, np.array(trial)))
    return order


@pytest.mark.parametrize(("name", "plain"), [("eddc", plain_eddc), ("psk", plain_psk)])
def test_eddc_and_psk_are_their_definitions(name: str, plain: Callable[[list[int], list[int]], list[int]]) -> None:
    """The kept-up-to-date sums of EDDC and the single test of PSK change no order."""
    pairs = [(i["p"], i["d"]) for i in grid("train", [30], 2)] + list(random_pairs(150, 10))
    for p, d in pairs:
        assert ORDER[name](p, d).tolist() == plain(p.tolist(), d.tolist())


@pytest.mark.parametrize("rule", ["mdd", "mddc"])
def test_augmented_rules_are_their_definitions(rule: str) -> None:
    """The vectorised gain of a move to the end picks the move that costing every sequence anew picks."""
    pairs = [(i["p"], i["d"]) for i in grid("train", [20], 1)] + list(random_pairs(60, 10))
    for p, d in pairs:
        assert ORDER[f"aug{rule}"](p, d).tolist() == plain_augmented(PRIORITY[rule], p, d)


# Local searches


def moves(n: int) -> Iterator[tuple[int, int]]:
    """All moves of the job at one position to another."""
    return ((i, j) for i in range(n) for j in range(n))


def moved(order: np.ndarray, i: int, j: int) -> np.ndarray:
    """`order` with the job at position i put at position j."""
    return np.insert(np.delete(order, i), j, order[i])


def test_insertion_gains_equal_costing_every_move_anew() -> None:
    """Entry [i, j] of the matrix is exactly what the move saves, for whole numbers; for floats, to rounding."""
    for p, d in random_pairs(60, 9):
        order = np.arange(len(p))
        before = total_tardiness(p, d, order)
        anew = [before - total_tardiness(p, d, moved(order, i, j)) for i, j in moves(len(p))]
        assert mdd_insertion.insertion_gains(p, d).ravel().tolist() == anew
        assert mdd_insertion.insertion_gains(p * 0.1, d * 0.1).ravel() == pytest.approx(np.array(anew) * 0.1)


def test_no_insertion_improves_mdd_insertion() -> None:
    """Its answer is a local optimum, and never worse than MDD's."""
    for instance in grid("train", [25], 1):
        p, d = instance["p"], instance["d"]
        order = ORDER["mdd_insertion"](p, d)
        least = min(total_tardiness(p, d, moved(order, i, j)) for i, j in moves(len(p)))
        assert total_tardiness(p, d, order) <= least
        assert total_tardiness(p, d, order) <= cost("mdd", p, d)


def test_wi_leaves_no_neighbours_out_of_order() -> None:
    """For no two neighbours i, j from time t on is max(t + p_j, d_j) < max(t + p_i, d_i)."""
    for p, d in [*((i["p"], i["d"]) for i in grid("train", [50], 1)), *random_pairs(100, 10)]:
        order = ORDER["wi"](p, d)
        start = np.cumsum(p[order]) - p[order]
        ahead, behind, t = order[:-1], order[1:], start[:-1]
        assert (np.maximum(t + p[behind], d[behind]) >= np.maximum(t + p[ahead], d[ahead])).all()


def test_wi_costs_what_mdd_costs() -> None:
    """Two routes to nearly the same sequences: within 1 % in sum, equal on nine instances in ten."""
    costs = np.array([[cost(name, i["p"], i["d"]) for name in ("mdd", "wi")] for i in grid("train", [50], 4)])
    assert costs[:, 1].sum() == pytest.approx(costs[:, 0].sum(), rel=0.01)
    assert (costs[:, 0] == costs[:, 1]).mean() >= 0.9
