import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge import iterations, simulator
from engine_bridge.simulator import Simulation
from tests.engine_bridge.plain import Case, Plain


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Prompts, outputs, arrivals, capacity, budget, and a seed for scores."""
    n = draw(st.integers(1, 9))
    prompt, output = (draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)) for _ in range(2))
    arrival = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    peak = max(p + o - 1 for p, o in zip(prompt, output, strict=True))
    return prompt, output, arrival, peak + draw(st.integers(0, 30)), draw(st.integers(1, 12)), draw(st.integers(0, 99))


def make(case: Case) -> Simulation:
    """The simulation of a case, at its beginning."""
    prompt, output, arrival, capacity, budget, _ = case
    return Simulation(np.array(prompt), np.array(output), np.array(arrival), capacity=capacity, budget=budget)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_the_compiled_core_decides_like_a_plain_simulation(case: Case) -> None:
    """Chunk by chunk, whatever the scores: the futures entered at admission are those that come true."""
    simulation = make(case)
    rng = np.random.default_rng(case[-1])
    while simulation.advance():
        simulation.admit(rng.integers(0, 4, len(simulation.waiting)))
    assert sorted(map(tuple, simulation.chunks.tolist())) == sorted(Plain(case).run())


@settings(max_examples=100, deadline=None)
@given(cases())
def test_fixed_scores_give_what_asking_gives(case: Case) -> None:
    """`follow` is `advance` and `admit` with scores that never change."""
    scores = np.random.default_rng(case[-1]).integers(0, 4, len(case[0]))
    asked, followed = make(case), make(case)
    while asked.advance():
        asked.admit(scores[asked.waiting])
    followed.follow(scores)
    assert np.array_equal(asked.chunks, followed.chunks)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_what_is_shown_is_the_state(case: Case) -> None:
    """Whenever scores are due: more than one waits, all have arrived, and the free amounts follow from the chunks."""
    simulation = make(case)
    _, output, arrival, capacity, budget, _ = case
    while simulation.advance():
        now, waiting = simulation.now, simulation.waiting.tolist()
        assert len(waiting) > 1 and waiting == sorted(waiting) and max(arrival[i] for i in waiting) <= now
        chunks = simulation.chunks
        done = simulation.completion
        admitted = sorted(set(chunks[:, 0].tolist()))
        assert not set(admitted) & set(waiting)
        assert simulation.running == sum(now < done[i] for i in admitted)
        decodes = sum(done[i] - output[i] < now < done[i] for i in admitted)
        assert simulation.free_tokens == budget - decodes - chunks[chunks[:, 1] == now, 2].sum() > 0
        held = chunks[(chunks[:, 1] <= now) & (now < done[chunks[:, 0]]), 2].sum()
        held += sum(now - (done[i] - output[i]) for i in admitted if done[i] - output[i] < now < done[i])
        assert simulation.free_kv == capacity - held > 0
        assert 0 <= simulation.spare_kv <= simulation.free_kv
        simulation.admit(np.zeros(len(waiting)))


def test_without_a_budget_a_request_runs_without_a_break() -> None:
    """The model of Jaillet et al.: memory s + j in the j-th round after the start, here as a prompt of s + 1."""
    s, output = np.array([3, 3, 3]), np.array([4, 4, 4])
    simulation = Simulation(s + 1, output, np.zeros(3), capacity=14)
    simulation.follow(np.arange(3))
    # Two requests peak at 7 tokens each in round 4; the third has room once they are done.
    assert simulation.completion.tolist() == [4, 4, 8]


def test_admission_stops_at_the_first_that_does_not_fit() -> None:
    """A large request in front keeps a small one out, even though that would fit."""
    prompt, output, arrival = np.array([6, 6, 1]), np.array([3, 3, 1]), np.array([0, 0, 0])
    simulation = Simulation(prompt, output, arrival, capacity=10, budget=100)
    simulation.follow(np.array([0, 1, 2]))
    assert simulation.completion.tolist() == [3, 6, 4]


def test_infinite_scores_are_allowed_and_a_long_gap_costs_nothing() -> None:
    """Scores of ±inf order like others; between far arrivals time jumps."""
    simulation = Simulation(np.array([2, 2, 2]), np.array([1, 1, 1]), np.array([0, 0, 10**9]), capacity=9, budget=2)
    assert simulation.advance()
    simulation.admit(np.array([np.inf, -np.inf]))
    assert not simulation.advance()
    assert simulation.completion.tolist() == [2, 1, 10**9 + 1]


@pytest.mark.parametrize("scores", [[1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_bad_scores_are_refused(scores: list[float]) -> None:
    """One score for each that waits, without NaN."""
    simulation = Simulation(np.array([2, 2]), np.array([1, 1]), np.array([0, 0]), capacity=9, budget=2)
    simulation.advance()
    with pytest.raises(ValueError, match="expected 2 scores"):
        simulation.admit(np.array(scores))


@pytest.mark.parametrize(
    ("prompt", "output", "arrival", "capacity", "budget", "said"),
    [
        ([], [], [], 9, 2, "at least one request"),
        ([1], [1, 2], [0], 9, 2, "as many outputs"),
        ([0], [1], [0], 9, 2, "at least 1"),
        ([1], [1], [-1], 9, 2, "at least 0"),
        ([1], [1], [0], 9, 0, "at least 1"),
        ([5], [6], [0], 9, 2, "needs 10 tokens of KV"),
    ],
)
def test_what_has_no_meaning_is_refused(
    prompt: list[int], output: list[int], arrival: list[int], capacity: int, budget: int, said: str
) -> None:
    """Wrong numbers end in an error, not in an endless loop."""
    with pytest.raises(ValueError, match=said):
        Simulation(np.array(prompt), np.array(output), np.array(arrival), capacity=capacity, budget=budget)


def test_both_parts_mean_the_same_places() -> None:
    """The compiled part has its own copies of the constants, as importing it would import numba."""
    names = ("NOW", "WAIT", "RUN", "ARRIVED", "STALE", "CHUNKS", "LOG_FULL")
    assert all(getattr(simulator, name) == getattr(iterations, name) for name in names)


def test_numba_is_imported_only_when_a_simulation_runs() -> None:
    """So that commands which simulate nothing start fast."""
    code = "import sys, engine_bridge.simulator, problems.batch_order.problem; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
