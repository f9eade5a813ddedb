"""The serving simulator: fast-forward changes nothing, every request is served, and extensions do what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.online import NoProgress, simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Array, InvalidAnswer, Policy, Trusted, UnsupportedFunction, View
from engine_bridge.settings import EngineSettings
from engine_bridge.step_log import StepLog
from engine_bridge.workload import Workload
from tests.engine_bridge.traffic import ROUND_COST, make_workload
from tests.vllm.cases import draw_case

SMALL = EngineSettings(blocks=60, max_running=6, max_tokens=96)


def run(workload: Workload, policy: Policy = FCFS, engine: EngineSettings = SMALL, **more: bool) -> Outcome:
    """A simulation that raises on the first invalid answer."""
    return simulate(workload, policy, engine, ROUND_COST, strict=True, **more)


def assert_same(one: Outcome, other: Outcome) -> None:
    """Two outcomes are equal, bit by bit, but for the logs and the questions asked."""
    for field in dataclasses.fields(Outcome):
        if field.name not in ("step_log", "event_log"):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


@st.composite
def situations(draw: st.DrawFn) -> tuple[Workload, EngineSettings]:
    """A random workload and engine, as for the comparison with vLLM, on the clock of a cost model."""
    case = draw_case(draw(st.integers(0, 10**6)))
    arrival = np.array(case.arrival) * draw(st.sampled_from([0.0, 0.0005, 0.01, 0.1]))
    workload = dataclasses.replace(case.workload(), arrival=arrival)
    return workload, case.engine()


@settings(max_examples=60, deadline=None)
@given(situations(), st.sampled_from(["", "rank_waiting", "admit_limit", "both"]))
def test_fast_forward_changes_nothing(situation: tuple[Workload, EngineSettings], asked: str) -> None:
    """Runs of decodes in one go, or step by step, give the same outcome, with and without a policy that is asked."""
    functions: dict[str, Callable[[View], object]] = {}
    if asked in ("rank_waiting", "both"):
        functions["rank_waiting"] = lambda view: view.prompt % 7
    if asked in ("admit_limit", "both"):
        functions["admit_limit"] = lambda view: view.id.sum() % 5
    workload, engine = situation
    fast = run(workload, Trusted(functions), engine)
    assert_same(fast, run(workload, Trusted(functions), engine, fast_forward=False))
    assert_same(fast, run(workload, Trusted(functions), engine, log=True))


@settings(max_examples=60, deadline=None)
@given(situations())
def test_every_request_is_served(situation: tuple[Workload, EngineSettings]) -> None:
    """Tokens come out after arrival, in order, as many as were wanted; the log adds up; no block is ever lost."""
    workload, engine = situation
    outcome = run(workload, FCFS, engine, log=True)
    assert outcome.step_log is not None and outcome.event_log is not None
    assert (outcome.first_token > workload.arrival).all()
    assert (outcome.finish >= outcome.first_token).all()
    assert ((outcome.finish == outcome.first_token) == (workload.output == 1)).all()
    assert outcome.gaps[:, 1].sum() == (workload.output - 1).sum()
    assert outcome.gaps.prod(axis=1).sum() == pytest.approx((outcome.finish - outcome.first_token).sum())
    assert outcome.step_log["seconds"].sum() == pytest.approx(outcome.busy_seconds)
    assert outcome.step_log["free_blocks"][-1] == engine.blocks
    assert (outcome.step_log["free_blocks"] >= 0).all()
    assert outcome.peak_kv <= 1
    assert (outcome.cached < workload.prompt).all() and (outcome.cached >= 0).all()
    tokens = outcome.event_log[outcome.event_log[:, 3] < 2, 2].sum()
    assert tokens == outcome.step_log["prefill_tokens"].sum() + outcome.step_log["decodes"].sum()
    assert len(StepLog.of(outcome.step_log)) == outcome.steps


@settings(max_examples=60, deadline=None)
@given(situations(), st.sets(st.sampled_from(["hold", "chunk", "layer_groups", "rank_running", "token_budget"])))
def test_erratic_policies_lose_nothing(situation: tuple[Workload, EngineSettings], functions: set[str]) -> None:
    """Whatever is held, cut and spread over layers, every token comes out once and every block is free at the end."""
    rng = np.random.default_rng(0)
    answers: dict[str, Callable[[View], object]] = {
        "hold": lambda view: rng.integers(0, 2, int(view.running)),
        "chunk": lambda view: rng.integers(0, 9, len(view)),
        "layer_groups": lambda view: rng.integers(1, 5),
        "rank_running": lambda view: rng.random(len(view)),
        "token_budget": lambda view: rng.integers(1, 1 + int(view.max_tokens)),
    }
    workload, engine = situation
    policy = Trusted({name: answers[name] for name in sorted(functions)})
    try:
        outcome = run(workload, policy, engine, log=True)
    except NoProgress:
        assert "rank_running" in functions  # by chance it preempts whoever has come far, for ever
        return
    assert outcome.step_log is not None and outcome.event_log is not None
    assert outcome.gaps[:, 1].sum() == (workload.output - 1).sum()
    assert outcome.step_log["free_blocks"][-1] == engine.blocks
    assert np.isfinite(outcome.finish).all()
    assert (outcome.event_log[:, 3] == 3).sum() == len(workload.prompt)


def test_first_come_first_served_by_hand() -> None:
    """Two requests, budget 4: chunks of the first prompt, then both, with the times that the cost model gives."""
    workload = make_workload(n=2, arrival=[1.0, 1.0], prompt=[6, 3], output=[2, 1], predicted=[2, 1])
    outcome = run(workload, FCFS, EngineSettings(blocks=8, max_tokens=4, block_size=4), log=True)
    assert outcome.event_log is not None
    assert outcome.event_log.tolist() == [
        [0, 0, 4, 1], [1, 0, 2, 0], [1, 1, 2, 1], [2, 0, 1, 0], [2, 1, 1, 0], [2, 0, 0, 3], [2, 1, 0, 3],
    ]  # fmt: skip
    first = 1e-3 + 1e-5 + 3e-3 + 10e-9
    second = 1e-3 + 2e-5 + 3e-3 + (2 * 4 + 3 + 3) * 1e-9
    assert outcome.first_token[0] == pytest.approx(1 + first + second)
    assert outcome.seconds == pytest.approx(1 + first + second + 1e-3 + 2e-5 + 3e-3 + 3e-9 + 7 * 3e-8)


def test_prefix_blocks_are_found_again() -> None:
    """The second request starts with the first one's blocks: all full ones are taken over, but never its last token."""
    workload = make_workload(
        n=2,
        arrival=[0.0, 1.0],
        prompt=[64, 64],
        output=[3, 3],
        predicted=[3, 3],
        blocks=[[5, 6], [5, 6]],
        hash_block=32,
    )
    assert run(workload).cached.tolist() == [0, 48]
    assert run(workload, FCFS, EngineSettings(prefix_cache=False)).cached.tolist() == [0, 0]
    with pytest.raises(ValueError, match="no multiple of the engine's block size 24"):
        run(workload, FCFS, EngineSettings(block_size=24))


def test_a_held_request_pauses() -> None:
    """Request 0 is held between 20 and 60 ms: one of its gaps spans that time, and the other request goes on."""

    def hold(view: View) -> Array:
        held: Array = (view.id[: int(view.running)] == 0) & (0.02 < view.now < 0.06)
        return held

    workload = make_workload(n=2, arrival=[0.0, 0.0], prompt=[10, 10], output=[30, 30], predicted=[30, 30])
    outcome = run(workload, Trusted({"hold": hold}))
    assert outcome.longest_gap[0] > 0.04
    assert outcome.longest_gap[1] < 0.006
    assert outcome.fallbacks == 0


def test_a_policy_that_schedules_nothing_is_overruled() -> None:
    """Everything held, nothing admitted: the steps are done as FCFS does them, and counted."""
    workload = make_workload()
    idle = Trusted({"hold": lambda view: np.ones(int(view.running)), "admit_limit": lambda view: 0})
    outcome = run(workload, idle)
    assert outcome.fallbacks == outcome.steps
    assert np.array_equal(outcome.finish, run(workload).finish)


def test_chunks_limit_prompts_only() -> None:
    """Five prompt tokens a step; decodes go on; a waiting request with none is passed over."""
    workload = make_workload(n=3, arrival=np.zeros(3), prompt=[20, 7, 5], output=[2, 2, 2], predicted=[2, 2, 2])

    def chunk(view: View) -> Array:
        return np.where((view.id == 1) & (view.now < 0.008), 0, 5)

    outcome = run(workload, Trusted({"chunk": chunk}), log=True)
    assert outcome.event_log is not None
    first = outcome.event_log[outcome.event_log[:, 0] == 0]
    assert first.tolist() == [[0, 0, 5, 1], [0, 2, 5, 1]]
    scheduled = outcome.event_log[outcome.event_log[:, 3] < 2]
    assert scheduled[:, 2].max() == 5
    assert scheduled[scheduled[:, 1] == 1][0, 0] == 2


def test_layered_prefill_spreads_a_prompt_over_steps() -> None:
    """Four groups: the prompt's tokens come after four steps, each with a quarter of its work; decodes go on."""
    workload = make_workload(n=2, arrival=[0.0, 0.02], prompt=[4, 80], output=[40, 2], predicted=[40, 2])
    layered = Trusted({"layer_groups": lambda view: 4})
    outcome = run(workload, layered, log=True)
    assert outcome.step_log is not None and outcome.event_log is not None
    begins = int(outcome.event_log[(outcome.event_log[:, 1] == 1)][0, 0])
    rows = slice(begins, begins + 4)
    assert outcome.step_log["prefill_tokens"][rows].tolist() == [80] * 4
    assert outcome.step_log["layer_groups"][rows].tolist() == [4] * 4
    assert outcome.step_log["decodes"][rows].tolist() == [1] * 4
    assert outcome.step_log["decodes"][begins + 4] == 2
    end = outcome.step_log["start"][begins + 4]
    assert outcome.first_token[1] == end
    assert outcome.longest_gap[0] < run(workload).longest_gap[0]


def test_an_invalid_answer_is_as_none() -> None:
    """NaN counts as the function missing, unless the caller wants to know."""
    workload = make_workload()
    broken = Trusted({"rank_waiting": lambda view: view.prompt * np.nan})
    outcome = simulate(workload, broken, SMALL, ROUND_COST)
    assert np.array_equal(outcome.finish, run(workload).finish)
    assert outcome.invalid == outcome.asked_steps > 0
    assert "NaN" in outcome.first_invalid
    with pytest.raises(InvalidAnswer, match="NaN"):
        run(workload, broken)


def test_what_is_never_finished_ends() -> None:
    """A limit of steps ends a run with a sentence."""
    slow = Trusted({"token_budget": lambda view: 1})
    with pytest.raises(NoProgress, match="the policy keeps work from being finished"):
        simulate(make_workload(), slow, SMALL, ROUND_COST, max_steps=50)


def test_what_cannot_be_served_is_refused() -> None:
    """A request larger than the cache, an empty engine, and a policy beyond the simulator."""
    with pytest.raises(ValueError, match=r"needs \d+ KV blocks, more than the 2 there are"):
        run(make_workload(), FCFS, EngineSettings(blocks=2))
    with pytest.raises(ValueError, match=r"EngineSettings.max_running must be at least 1, not 0"):
        EngineSettings(max_running=0)
    with pytest.raises(UnsupportedFunction, match="cannot carry out 'swap'"):
        run(make_workload(), Trusted({"swap": lambda view: 0}))


def test_the_window_bounds_what_is_shown() -> None:
    """A policy sees the first two that wait, whatever else waits; their number is shown."""
    seen = []

    def rank_waiting(view: View) -> Array:
        seen.append((len(view), view.waiting))
        return -view.arrival

    engine = dataclasses.replace(SMALL, window=2)
    run(make_workload(n=30, rate=1e4), Trusted({"rank_waiting": rank_waiting}), engine)
    assert {shown for shown, _ in seen} == {2}
    assert max(waiting for _, waiting in seen) > 10
