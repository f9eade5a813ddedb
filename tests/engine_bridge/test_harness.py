"""The harness: by turns, medians, a fit to the steps, a prediction that is right where the clock is a cost model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_bridge.harness import (
    COMPARED,
    Open,
    StepRecords,
    errors,
    machine,
    measure,
    median_metrics,
    predict,
    warm_up,
    warm_up_workload,
)
from engine_bridge.metrics import metrics
from engine_bridge.online import NoProgress, simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Policy, Trusted
from engine_bridge.settings import EngineSettings, check_workload
from engine_bridge.step_log import StepLogError, read_step_log
from engine_bridge.workload import Workload
from tests.engine_bridge.traffic import ROUND_COST, make_workload

SMALL = EngineSettings(blocks=60, max_running=6, max_tokens=96)


class Simulated:
    """An engine whose steps take what a cost model says, so that a prediction can be exact; notes who was served."""

    def __init__(self, slower: float = 0.0) -> None:
        self.order: list[str] = []
        self.slower = slower

    def serve(
        self,
        workload: Workload,
        policy: Policy,
        *,
        concurrency: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Outcome:
        """Serve in simulated time; each run takes `slower` more than the one before."""
        if "admit_limit" in policy.functions:
            raise NoProgress("stuck")
        self.order.append("sjf" if policy.functions else "fcfs")
        factor = 1 + self.slower * len(self.order)
        scaled = replace(ROUND_COST.coefficients, weights=factor * ROUND_COST.coefficients.weights)
        if progress is not None:
            progress(len(workload))
        cost = replace(ROUND_COST, coefficients=scaled)
        return simulate(workload, policy, SMALL, cost, log=True, concurrency=concurrency)


def opener(policy: Policy) -> Open:
    """Opens what is open."""

    @contextmanager
    def opened() -> Iterator[Policy]:
        yield policy

    return opened


SJF = Trusted({"rank_waiting": lambda view: view.predicted})
STUCK = Trusted({"admit_limit": lambda view: 0})
BOTH = {"fcfs": opener(FCFS), "sjf": opener(SJF)}


def test_policies_take_turns() -> None:
    """A round begins with another policy than the one before; one that never ends is left out and says why."""
    engine, told, records = Simulated(), list[str](), StepRecords()
    runs = measure(
        engine,
        make_workload(),
        {**BOTH, "stuck": opener(STUCK)},
        rounds=3,
        records=records,
        tell=told.append,
        progress=told.append,
    )
    assert engine.order == ["fcfs", "sjf", "sjf", "fcfs", "fcfs", "sjf"]
    assert [(run.name, len(run.rounds)) for run in runs] == [("fcfs", 3), ("sjf", 3), ("stuck", 0)]
    assert runs[2].failure == "stuck" and runs[2].figures is None
    assert "round 1 of 3: fcfs" in told and "round 1 of 3: fcfs, 20 of 20 requests" in told


def test_the_median_is_that_of_each_figure() -> None:
    """Of three rounds, ever slower: the figures of the middle one; counts stay whole."""
    (run,) = measure(Simulated(0.5), make_workload(), {"fcfs": opener(FCFS)}, rounds=3, records=StepRecords())
    assert run.figures is not None
    middle = run.rounds[1]
    assert run.figures.ttft == middle.ttft and run.figures.output_throughput == middle.output_throughput
    assert isinstance(run.figures.steps, int)
    single = metrics(simulate(one := Workload.of("one", [0.0], [5], [1]), FCFS, SMALL, ROUND_COST), one)
    assert median_metrics([single, single]) == single


@pytest.mark.parametrize("concurrency", [None, 4])
def test_a_prediction_is_right_where_the_engine_is_a_model(concurrency: int | None) -> None:
    """Fitted to the steps of the run, the simulator says within a percent what was measured, policy by policy."""
    workload, records = make_workload(n=60, rate=30.0), StepRecords()
    runs = measure(Simulated(), workload, BOTH, rounds=2, records=records, concurrency=concurrency)
    guesses = predict(workload, BOTH, SMALL, records.fit("fitted"), concurrency=concurrency)
    for run in runs:
        assert run.figures is not None
        found = errors(guesses[run.name], run.figures)
        assert set(found) == set(COMPARED)
        assert max(abs(error) for error in found.values() if error is not None) < 0.01
    assert predict(workload, {"stuck": opener(STUCK)}, SMALL, ROUND_COST) != {}


def test_errors_are_relative_to_the_measurement() -> None:
    """Twice what was measured is +1; what is not defined has no error."""
    workload = Workload.of("single", [0.0, 0.1], [5, 5], [1, 1])
    figures = metrics(simulate(workload, FCFS, SMALL, ROUND_COST), workload)
    twice = replace(figures, output_throughput=2 * figures.output_throughput)
    found = errors(twice, figures)
    assert found["throughput"] == 1 and found["TTFT mean"] == 0 and found["TPOT mean"] is None


def test_the_step_log_is_one_that_calibrate_reads(tmp_path: Path) -> None:
    """All steps of all runs with tokens in them, with who they were of; the reader leaves the rest alone."""
    records = StepRecords()
    measure(Simulated(), make_workload(), BOTH, rounds=2, records=records)
    records.write(tmp_path / "steps.csv")
    log, table = read_step_log(tmp_path / "steps.csv"), records.columns()
    assert np.array_equal(log.seconds, table["seconds"])
    assert set(table["policy"]) == {"fcfs", "sjf"} and set(table["round"]) == {0, 1}
    with pytest.raises(StepLogError, match="the step log has 0 steps"):
        StepRecords().fit("empty")


def test_the_warm_up_fits_the_cache_and_shows_steps_of_all_sizes() -> None:
    """Its prompts are no longer than told and as the cache can hold, and a cost model can be fitted to its steps."""
    workload = warm_up_workload(SMALL, 10_000)
    assert workload.prompt.max() <= 480 and workload.prompt.min() < 20
    assert warm_up_workload(SMALL, 30).prompt.max() <= 30
    fitted = warm_up(Simulated(), SMALL, 10_000)
    assert fitted.fitted and fitted.error["regimes"]["all"]["median"] < 0.01


def test_the_machine_is_named() -> None:
    """Processor, cores and versions; None for what is not installed."""
    found = machine()
    assert found["cores"] >= 1 and found["versions"]["numpy"] == np.__version__
    assert set(found) == {"system", "cpu", "cores", "gpus", "python", "versions"}


@given(blocks=st.integers(1, 40), longest=st.integers(1, 4000), seed=st.integers(0, 1000))
def test_the_warm_up_fits_every_engine(blocks: int, longest: int, seed: int) -> None:
    """However small the cache: each request alone has room in it, and prompts are as long as told at most."""
    settings = EngineSettings(blocks=blocks)
    workload = warm_up_workload(settings, longest, seed)
    check_workload(workload, settings)
    assert workload.prompt.max() <= longest
