"""The exact solver against brute force, a subset DP, itself under transformations, and its own limits."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.base import InstanceError
from problems.smtt import exact
from problems.smtt.exact import Certificate, solve, total_tardiness
from problems.smtt.instances import generate

Numbers = list[int]
Pair = tuple[Numbers, Numbers]


def brute_force(p: Sequence[int], d: Sequence[int]) -> int:
    """The least total tardiness over all n! sequences."""
    orders = np.array(list(permutations(range(len(p)))), np.int64).reshape(-1, len(p))
    completion = np.cumsum(np.array(p, np.int64)[orders], axis=1)
    return int(np.maximum(completion - np.array(d, np.int64)[orders], 0).sum(axis=1).min())


def subset_dp(p: Sequence[int], d: Sequence[int]) -> int:
    """The least total tardiness by dynamic programming over the sets of jobs done first."""
    n = len(p)
    sets = np.arange(1 << n)
    done = sum(((sets >> j & 1) * p[j] for j in range(n)), np.zeros(1 << n, np.int64))
    least = np.full(1 << n, 1 << 62, np.int64)
    least[0] = 0
    size = np.array([s.bit_count() for s in range(1 << n)])
    for k in range(1, n + 1):
        layer = sets[size == k]
        for j in range(n):
            having = layer[layer >> j & 1 == 1]
            late = np.maximum(done[having] - d[j], 0)
            least[having] = np.minimum(least[having], least[having ^ (1 << j)] + late)
    return int(least[-1])


def proven(p: Sequence[int], d: Sequence[int], certificate: Certificate) -> int:
    """The value of an optimal certificate, after checking that its sequence has that cost."""
    assert certificate.kind == "optimal"
    assert sorted(certificate.sequence) == list(range(len(p)))
    assert total_tardiness(p, d, certificate.sequence) == certificate.best == certificate.value
    return certificate.value


def random_pair(rng: np.random.Generator, n: int) -> Pair:
    """Jobs with many ties, p = 0 included, and due dates from 'all late' to 'all on time'."""
    p = rng.integers(0, rng.integers(2, 20), n)
    low, high = np.sort(rng.integers(-5, max(2, int(p.sum()) + 5), 2))
    return p.tolist(), rng.integers(low, high + 1, n).tolist()


def hard_pair(rng: np.random.Generator, n: int, largest: int) -> Pair:
    """The hardest cell of the grid, TF = .6 and RDD = .2, with p up to `largest`."""
    p = rng.integers(1, largest + 1, n)
    return p.tolist(), rng.integers(int(p.sum() * 0.3), int(p.sum() * 0.5) + 1, n).tolist()


@pytest.fixture
def coarse_to_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the plain decomposition no room, so that the pruned ones have to do the work."""
    monkeypatch.setattr(exact, "FIRST_TRY", 1)


def test_equals_brute_force() -> None:
    """Optimal on 400 random instances of up to 9 jobs, with ties, zeros, negative and loose due dates."""
    rng = np.random.default_rng(1)
    for n in [2, 3, 4, 5, 6] * 70 + [7] * 40 + [8] * 8 + [9] * 2:
        p, d = random_pair(rng, n)
        assert proven(p, d, solve(p, d)) == brute_force(p, d), (p, d)


def test_equals_brute_force_when_everything_ties() -> None:
    """Optimal if all p, all d, or both are equal or zero."""
    rng = np.random.default_rng(2)
    for n in [1, 2, 3, 5, 7] * 6:
        p, d = random_pair(rng, n)
        for q, e in ((p, [7] * n), (p, [0] * n), ([3] * n, d), ([0] * n, d), ([0] * n, [0] * n), ([4] * n, [9] * n)):
            assert proven(q, e, solve(q, e)) == brute_force(q, e), (q, e)


def test_equals_subset_dp() -> None:
    """Optimal on instances of 10 to 16 jobs, p small and large."""
    rng = np.random.default_rng(3)
    for n in [10, 11, 12, 13] * 8 + [14, 15, 16] * 2:
        for p, d in (random_pair(rng, n), hard_pair(rng, n, 10**6)):
            assert proven(p, d, solve(p, d)) == subset_dp(p, d), (p, d)


@pytest.mark.usefixtures("coarse_to_fine")
def test_rounded_start_times_never_cost_the_optimum() -> None:
    """Pruning by bounds from rounded start times keeps the optimum: small instances against the subset DP."""
    rng = np.random.default_rng(4)
    for n in [6, 9, 10, 11, 12] * 20:
        p, d = hard_pair(rng, n, 10**6) if rng.random() < 0.5 else random_pair(rng, n)
        certificate = solve(p, d)
        assert certificate.value == subset_dp(p, d), (p, d)
        proven(p, d, certificate)


def test_both_ways_to_solve_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """On hard instances of 40 to 120 jobs the plain and the pruned decomposition prove the same optimum."""
    rng = np.random.default_rng(5)
    for n, largest in [(40, 100), (60, 10**6), (80, 1000), (100, 100), (100, 10**6), (120, 300)]:
        p, d = hard_pair(rng, n, largest)
        monkeypatch.setattr(exact, "FIRST_TRY", 1 << 24)
        plain = proven(p, d, solve(p, d))
        monkeypatch.setattr(exact, "FIRST_TRY", 1)
        assert proven(p, d, solve(p, d)) == plain


def test_hardest_cell_at_500_jobs() -> None:
    """The paper's largest size, hardest cell, is solved to optimality within the default limits."""
    instance = generate("test", 500, 0.6, 0.2, 0)
    proven(instance["p"].tolist(), instance["d"].tolist(), solve(instance["p"], instance["d"]))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(-20, 200)), max_size=10),
    st.randoms(use_true_random=False),
    st.integers(-(10**9), 10**9),
    st.integers(1, 10**6),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_invariances(jobs: list[tuple[int, int]], random: object, shift: int, factor: int) -> None:
    """The optimum ignores the order of the jobs, moves with the clock, and scales with the unit of time."""
    p, d = [job[0] for job in jobs], [job[1] for job in jobs]
    value = proven(p, d, solve(p, d))
    shuffled = list(jobs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert solve([job[0] for job in shuffled], [job[1] for job in shuffled]).value == value
    assert solve(p, [due + shift for due in d], start=shift).value == value
    assert solve([factor * x for x in p], [factor * x for x in d]).value == factor * value


def test_no_jobs_and_one_job() -> None:
    """n = 0 costs nothing; a single job is as late as it must be."""
    assert proven([], [], solve([], [])) == 0
    assert proven([5], [3], solve([5], [3])) == 2
    assert proven([5], [9], solve([5], [9])) == 0
    assert solve([5], [9], start=10).value == 6


def test_due_dates_beyond_64_bits() -> None:
    """Huge and hugely negative due dates are right, and leave the rest of the problem intact."""
    p, d = [4, 2, 9, 3], [5, 3, 8, 4]
    inner = brute_force(p, d)
    for big in (10**12, 2**63, 10**40):
        assert proven([*p, 0], [*d, -big], solve([*p, 0], [*d, -big])) == inner + big
        assert proven([*p, 50], [*d, big], solve([*p, 50], [*d, big])) == inner


def test_large_numbers_do_not_overflow() -> None:
    """p up to 10^6 at n = 500, and totals close to 2^60, are right: known optima, and brute force."""
    n, unit = 500, 10**6
    assert solve([unit] * n, [0] * n).value == unit * n * (n + 1) // 2
    rng = np.random.default_rng(6)
    p = np.sort(rng.integers(1, unit + 1, n))
    assert solve(p, np.zeros(n, np.int64)).value == int(np.cumsum(p).sum())
    p, d = hard_pair(rng, 6, 2**54)
    assert proven(p, d, solve(p, d)) == brute_force(p, d)


def test_what_could_overflow_is_refused() -> None:
    """Totals that might not fit 64 bits are an error that names the figure and a remedy, not a wrong value."""
    with pytest.raises(InstanceError, match=r"n·Σp is \d+, above 2\^60.*coarser unit"):
        solve([2**40] * 2000, [0] * 2000)
    with pytest.raises(InstanceError, match="above 2"):
        solve([10**40], [0])


@pytest.mark.parametrize(
    ("p", "d", "message"),
    [
        ([1, 2.5], [1, 2], r"p\[1\] is 2.5, .*whole numbers; multiply"),
        ([1, 2], [1, float("nan")], r"d\[1\] is nan"),
        ([1, 2], np.array([1.0, 2.0]), r"d\[0\] is 1.0"),
        ([1, "2"], [1, 2], r"p\[1\] is '2'"),
        ([[1], [2]], [1, 2], r"p\[0\] is \[1\]"),
        (np.ones((2, 2), np.int64), [1, 2], r"p\[0\] is \[1, 1\]"),
        ([1, 2, 3], [1, 2], "p has 3 values and d has 2"),
        ([1, -2], [1, 2], r"p\[1\] is -2; .*at least 0"),
    ],
)
def test_bad_input_is_refused_with_the_reason(p: object, d: object, message: str) -> None:
    """What is not n whole p ≥ 0 and n whole d is refused; the message names the field, the value, the remedy."""
    with pytest.raises(InstanceError, match=message):
        solve(p, d)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [{"max_states": 0}, {"max_memory_mb": 0}])
def test_limits_must_be_positive(limit: dict[str, int]) -> None:
    """A limit of nothing is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        solve([1], [1], **limit)


def test_a_limit_gives_a_valid_bound_and_never_a_wrong_optimum() -> None:
    """With little room: value ≤ optimum ≤ best, "optimal" only where the two meet, on hundreds of instances."""
    rng = np.random.default_rng(7)
    kinds = set()
    for n in [5, 8, 20, 40] * 50:
        p, d = hard_pair(rng, n, int(rng.choice([20, 1000, 10**6])))
        optimum = solve(p, d).value
        certificate = solve(p, d, max_states=int(rng.integers(1, 8 * n)))
        assert certificate.value <= optimum <= certificate.best == total_tardiness(p, d, certificate.sequence)
        assert (certificate.kind == "optimal") == (certificate.value == certificate.best)
        kinds.add(certificate.kind)
    assert kinds == {"optimal", "lower"}


def test_the_bound_at_a_limit_is_close() -> None:
    """With a hundredth of the states, or of the memory, the bound and the sequence are within 2 % of each other."""
    p, d = hard_pair(np.random.default_rng(8), 300, 10**6)
    for certificate in (solve(p, d, max_states=300_000), solve(p, d, max_memory_mb=20)):
        assert certificate.value <= certificate.best <= 1.02 * certificate.value


def test_a_certificate_is_reproducible() -> None:
    """The same input gives the same certificate, CPU time apart, at a limit too."""
    instance = generate("test", 100, 0.6, 0.2, 0)
    for limit in (60_000_000, 500):
        first, second = (solve(instance["p"], instance["d"], max_states=limit) for _ in range(2))
        assert replace(first, seconds=0) == replace(second, seconds=0)
