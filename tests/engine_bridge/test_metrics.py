"""Figures of a run against what one computes by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_bridge.metrics import fairness, metrics, spread
from engine_bridge.online import simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Trusted, load_policy
from engine_bridge.settings import EngineSettings
from engine_bridge.timing import Timed
from engine_bridge.workload import Workload
from problems.base import Instance
from problems.serving.costs import figures
from tests.engine_bridge.traffic import ROUND_COST, make_workload

SETTINGS = EngineSettings(blocks=64, max_running=4, max_tokens=128)


def outcome_of(first_token: list[float], finish: list[float], **more: Any) -> Outcome:
    """An outcome with these times, and nothing else to tell unless said otherwise."""
    n = len(finish)
    facts: dict[str, Any] = {
        "longest_gap": np.zeros(n),
        "preemptions": np.zeros(n, dtype=np.int64),
        "cached": np.zeros(n, dtype=np.int64),
        "gaps": np.zeros((0, 2)),
        "steps": 10,
        "asked_steps": 4,
        "seconds": max(finish),
        "busy_seconds": 1.0,
        "mean_kv": 0.25,
        "peak_kv": 0.5,
        "fallbacks": 0,
        "invalid": 0,
        "first_invalid": "",
    }
    return Outcome(first_token=np.array(first_token), finish=np.array(finish), **{**facts, **more})


def test_three_requests_by_hand() -> None:
    """Every figure of three requests, one of which has a single token, one of which misses its TPOT."""
    workload = Workload.of(
        "three", [1.0, 2.0, 3.0], [100, 200, 100], [1, 5, 11], ttft=[0.5, 0.5, 2.0], tpot=[0.1, 0.1, 0.1]
    )
    outcome = outcome_of(
        [1.5, 2.25, 4.0],
        [1.5, 3.25, 4.5],
        gaps=np.array([[0.25, 4], [0.05, 10]]),
        cached=np.array([0, 50, 50]),
        preemptions=np.array([0, 1, 2]),
    )
    found = metrics(outcome, workload, policy_seconds=2e-3)
    assert (found.ttft.mean, found.ttft.p50) == (pytest.approx(1.75 / 3), 0.5)
    assert found.ttft.p90 == pytest.approx(0.5 + 0.8 * 0.5)
    assert (found.e2e.mean, found.e2e.p50) == (pytest.approx(3.25 / 3), 1.25)
    assert found.tpot is not None and found.tbt is not None
    assert (found.tpot.mean, found.tpot.p50) == (pytest.approx(0.15), pytest.approx(0.15))
    assert (found.tbt.mean, found.tbt.p50, found.tbt.p90) == (pytest.approx(1.5 / 14), 0.05, 0.25)
    assert (found.attainment, found.ttft_attainment, found.tpot_attainment) == pytest.approx((2 / 3, 1.0, 2 / 3))
    assert (found.seconds, found.goodput, found.request_throughput) == pytest.approx((3.5, 2 / 3.5, 3 / 3.5))
    assert (found.output_throughput, found.total_throughput) == pytest.approx((17 / 3.5, 417 / 3.5))
    assert (found.hit_tokens, found.hit_share, found.preemptions) == (100, 0.25, 3)
    assert (found.mean_kv, found.peak_kv, found.scheduler_us) == (0.25, 0.5, 500.0)
    assert found.fairness is None


def test_single_tokens_have_no_pace() -> None:
    """With one token each there is no TPOT and no TBT, and none is missed."""
    workload = Workload.of("one", [0.0, 0.0], [10, 10], [1, 1], ttft=[1.0, 1.0], tpot=[1e-3, 1e-3])
    found = metrics(outcome_of([0.5, 2.0], [0.5, 2.0]), workload)
    assert (found.tpot, found.tbt, found.attainment, found.scheduler_us) == (None, None, 0.5, None)


def test_fairness_is_the_ratio_of_service_rates() -> None:
    """Client 7 gets 300 + 2·50 weighted tokens in 4 s, client 2 gets 100 in 2 s: 100/s against 50/s.

    With seconds alone as service, the clients are slowed down by 4 / 1 and 2 / 1.
    """
    workload = Workload.of("two", [0.0, 0.0, 0.0], [100, 200, 80], [25, 25, 10], client=[7, 7, 2])
    assert fairness(outcome_of([0.1] * 3, [1.0, 3.0, 2.0]), workload) == pytest.approx(2.0)
    alone = np.array([0.25, 0.75, 1.0])
    assert fairness(outcome_of([0.1] * 3, [1.0, 3.0, 2.0]), workload, alone) == pytest.approx(2.0)
    assert fairness(outcome_of([0.1] * 3, [0.25, 0.75, 1.0]), workload, alone) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 9)), min_size=1, max_size=30))
def test_weighted_percentiles_are_those_of_the_values_written_out(rows: list[tuple[float, int]]) -> None:
    """A value that stands k times counts as k values, in NumPy's definition of a quantile."""
    values, counts = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    whole = np.repeat(values, counts.astype(np.int64))
    found = spread(values, counts)
    assert (found.p50, found.p90, found.p99) == pytest.approx(np.quantile(whole, [0.5, 0.9, 0.99]), abs=1e-9)
    assert found.mean == pytest.approx(whole.mean())


def test_a_simulated_run_agrees_with_the_problem_and_with_its_gaps() -> None:
    """Attainment, goodput and percentiles are those of problems.serving; times between tokens add up to decoding."""
    workload = make_workload(seed=5, n=60, rate=100.0, ttft=np.full(60, 0.05), tpot=np.full(60, 0.0055))
    outcome = simulate(workload, FCFS, SETTINGS, ROUND_COST)
    found = metrics(outcome, workload)
    arrays = {name: getattr(workload, name) for name in ("arrival", "output", "ttft", "tpot")}
    other = figures(
        Instance("same", arrays), outcome.first_token - workload.arrival, outcome.finish - outcome.first_token
    )
    assert found.tpot is not None and found.tbt is not None
    ours = (found.attainment, found.goodput, found.ttft.p50, found.ttft.p99, found.tpot.p50, found.tpot.p99)
    assert ours == pytest.approx(
        [other[k] for k in ("attainment", "goodput", "ttft_p50", "ttft_p99", "tpot_p50", "tpot_p99")]
    )
    assert 0 < found.attainment < 1
    decoding = float((outcome.finish - outcome.first_token).sum())
    assert found.tbt.mean * int((workload.output - 1).sum()) == pytest.approx(decoding)


def test_an_outcome_of_other_requests_is_refused() -> None:
    """Figures of a workload need the outcome of that workload."""
    with pytest.raises(ValueError, match="of 1 requests, the workload has 20"):
        metrics(outcome_of([1.0], [1.0]), make_workload())


def test_timing_changes_nothing_and_counts() -> None:
    """A timed policy answers the same; the time it took becomes the scheduler's time per step."""
    policy = load_policy(Path("problems/serving/policies/sjf.py"))
    timed = Timed(policy)
    workload = make_workload(seed=5, n=60, rate=100.0)
    outcome = simulate(workload, timed, SETTINGS, ROUND_COST)
    assert np.array_equal(outcome.finish, simulate(workload, policy, SETTINGS, ROUND_COST).finish)
    found = metrics(outcome, workload, timed.seconds)
    assert found.scheduler_us is not None and 0 < found.scheduler_us < 1e5
    assert Timed(Trusted({})).seconds == 0
    assert (
        replace(outcome, asked_steps=0) and metrics(replace(outcome, asked_steps=0), workload, 1.0).scheduler_us is None
    )
