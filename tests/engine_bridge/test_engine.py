"""The embedded engine around its runner: its decisions are the simulator's, and nobody gets another's KV."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.online import NoProgress, simulate
from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, InvalidAnswer, Policy, Trusted, UnsupportedFunction, View
from engine_bridge.settings import EngineSettings
from engine_bridge.workload import Workload
from tests.engine_bridge.traffic import make_workload
from tests.vllm.cases import draw_case

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engine installs it and runs these")

from engine_bridge.torch_engine.engine import Engine  # noqa: E402
from engine_bridge.torch_engine.errors import EngineError  # noqa: E402
from tests.engine_bridge.fakes import BY_TOKENS, FakeRunner, VirtualClock, alone  # noqa: E402

SMALL = EngineSettings(blocks=60, max_running=6, max_tokens=96)


def engine_in(engine: EngineSettings, clock: VirtualClock) -> Engine:
    """An engine whose steps take what the cost model says, on a clock that stands still otherwise."""
    return Engine(FakeRunner(BY_TOKENS, clock, engine.blocks, engine.block_size), engine)


def serve(
    workload: Workload, policy: Policy = FCFS, engine: EngineSettings = SMALL, **more: int | bool | None
) -> Outcome:
    """A run on the clock of the cost model; every token that comes out is compared with what it has to be."""
    clock = VirtualClock()
    serving = engine_in(engine, clock)
    outcome = serving.serve(workload, policy, clock=clock, **more)  # type: ignore[arg-type]
    tokens = serving.tokens
    for request, (prompt, output) in enumerate(zip(workload.prompt, workload.output, strict=True)):
        start = int(tokens.starts[request])
        assert tokens.outputs(request).tolist() == alone(tokens.ids[start : start + prompt], int(output))
    return outcome


def assert_alike(served: Outcome, simulated: Outcome) -> None:
    """The same decisions step by step, and times that differ by rounding at most."""
    assert served.event_log is not None and simulated.event_log is not None
    assert np.array_equal(served.event_log, simulated.event_log)
    for name in ("steps", "asked_steps", "fallbacks", "invalid", "peak_kv"):
        assert getattr(served, name) == getattr(simulated, name), name
    for name in ("first_token", "finish", "longest_gap", "preemptions", "cached", "mean_kv", "busy_seconds"):
        assert np.allclose(getattr(served, name), getattr(simulated, name), rtol=1e-9, atol=1e-12), name
    assert served.step_log is not None and simulated.step_log is not None
    for column, values in simulated.step_log.items():
        assert np.allclose(served.step_log[column], values, rtol=1e-9, atol=1e-12), column


@st.composite
def situations(draw: st.DrawFn) -> tuple[Workload, EngineSettings]:
    """A random workload and engine, as for the comparison of the simulator with vLLM."""
    case = draw_case(draw(st.integers(0, 10**6)))
    arrival = np.array(case.arrival) * draw(st.sampled_from([0.0, 0.0005, 0.01, 0.1]))
    return dataclasses.replace(case.workload(), arrival=arrival), case.engine()


def erratic(functions: set[str]) -> Policy:
    """A policy without sense; two that are asked the same answer the same."""
    rng = np.random.default_rng(0)
    answers: dict[str, Callable[[View], object]] = {
        "rank_waiting": lambda view: view.prompt * 37 % 11,
        "rank_running": lambda view: rng.random(len(view)),
        "token_budget": lambda view: rng.integers(1 + int(view.max_tokens) // 2, 1 + int(view.max_tokens)),
        "admit_limit": lambda view: view.id.sum() % 5,
        "hold": lambda view: rng.integers(0, 2, int(view.running)),
        "chunk": lambda view: rng.integers(0, 9, len(view)),
        "layer_groups": lambda view: rng.integers(1, 5),
    }
    return Trusted({name: answers[name] for name in sorted(functions)})


NAMES = ("rank_waiting", "rank_running", "token_budget", "admit_limit", "hold", "chunk", "layer_groups")


@settings(max_examples=20, deadline=None)
@given(situations(), st.sets(st.sampled_from(NAMES)))
def test_decisions_are_the_simulators(situation: tuple[Workload, EngineSettings], functions: set[str]) -> None:
    """Whatever the policy answers, steps that take equally long are the same steps; nobody gets another's KV."""
    workload, engine = situation
    served = serve(workload, erratic(functions), engine)
    assert_alike(served, simulate(workload, erratic(functions), engine, BY_TOKENS, log=True))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.booleans())
def test_fixed_concurrency_is_the_simulators(seed: int, concurrency: int, asked: bool) -> None:
    """So many requests at a time, the next when one has finished; the simulator does it alike, also in one go."""
    workload = make_workload(seed)
    functions = {"rank_running"} if asked else set()
    served = serve(workload, erratic(functions), concurrency=concurrency)
    simulated = simulate(workload, erratic(functions), SMALL, BY_TOKENS, log=True, concurrency=concurrency)
    assert_alike(served, simulated)
    arrival = served.served(workload).arrival
    assert np.allclose(arrival, simulated.served(workload).arrival)
    under_way = [(arrival <= moment).sum() - (served.finish <= moment).sum() for moment in arrival]
    assert max(under_way) <= concurrency
    assert (arrival[:concurrency] == 0).all() and np.isin(arrival[concurrency:], served.finish).all()
    fast = simulate(workload, erratic(functions), SMALL, BY_TOKENS, concurrency=concurrency)
    assert np.array_equal(fast.finish, simulated.finish)


def test_layered_prefill_survives_preemption_on_the_way() -> None:
    """A prompt loses its blocks to a decode while it passes the layers: it starts anew, and its tokens are right."""
    workload = make_workload(n=2, arrival=[0.0, 0.02], prompt=[8, 60], output=[60, 5], predicted=[60, 5])
    engine = EngineSettings(blocks=18, max_running=4, max_tokens=96, block_size=4, reserve=False)
    layered = Trusted({"layer_groups": lambda view: 12})
    outcome = serve(workload, layered, engine)
    assert outcome.preemptions[1] > 0
    assert_alike(outcome, simulate(workload, layered, engine, BY_TOKENS, log=True))


def test_the_log_says_what_the_runner_took() -> None:
    """The step log can be fitted to, and its last column is a part of each step; the real clock goes on by itself."""

    class Slow(VirtualClock):
        def now(self) -> float:
            self.time += 1e-4
            return self.time

    clock = Slow()
    outcome = engine_in(SMALL, clock).serve(make_workload(), FCFS, clock=clock)
    assert outcome.step_log is not None
    assert outcome.step_log["model_seconds"].shape == (outcome.steps,)
    assert (outcome.step_log["seconds"] >= 4e-3).all()
    assert (np.diff(outcome.step_log["start"]) >= outcome.step_log["seconds"][:-1] - 1e-12).all()


def test_progress_is_told() -> None:
    """Whenever requests have finished, their number; at the end it is all of them."""
    told: list[int] = []
    clock = VirtualClock()
    engine_in(SMALL, clock).serve(make_workload(), FCFS, clock=clock, progress=told.append)
    assert told == sorted(told) and told[-1] == 20


def test_an_invalid_answer_is_as_none() -> None:
    """NaN counts as the function missing, unless the caller wants to know."""
    workload = make_workload()
    broken = Trusted({"rank_waiting": lambda view: view.prompt * np.nan})
    outcome = serve(workload, broken)
    assert np.array_equal(outcome.finish, serve(workload).finish)
    assert outcome.invalid == outcome.asked_steps > 0
    with pytest.raises(InvalidAnswer, match="NaN"):
        serve(workload, broken, strict=True)


def test_what_cannot_be_served_is_refused() -> None:
    """A request beyond the cache or the model, a function the engine lacks, nothing in flight; each in one sentence."""
    with pytest.raises(ValueError, match=r"needs \d+ KV blocks, more than the 2 there are"):
        serve(make_workload(), FCFS, EngineSettings(blocks=2))
    longest = Workload.of("long", [0.0], [16_000], [1_000])
    with pytest.raises(EngineError, match=r"request 0 is 16999 tokens long, model tiny goes up to 16384; clip"):
        serve(longest, FCFS, EngineSettings(blocks=2000))
    with pytest.raises(UnsupportedFunction, match="engine 'torch' cannot carry out 'swap'"):
        serve(make_workload(), Trusted({"swap": lambda view: 0}))
    with pytest.raises(ValueError, match="concurrency is 0; let at least 1 request be under way"):
        serve(make_workload(), concurrency=0)


def test_what_is_never_finished_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of steps ends a run with the simulator's sentence."""
    monkeypatch.setattr("engine_bridge.torch_engine.engine.STEPS_PER_TOKEN", 0.01)
    with pytest.raises(NoProgress, match="the policy keeps work from being finished"):
        serve(make_workload())


def test_equal_blocks_are_equal_tokens() -> None:
    """Prompts start alike exactly as far as their blocks say, within a partial last block too; ids fit the model."""
    from engine_bridge.torch_engine.tokens import Tokens

    workload = make_workload(
        n=3, prompt=[70, 80, 70], output=[2, 2, 2], predicted=[2, 2, 2], blocks=[[5, 6, 7], [5, 6], []], hash_block=32
    )
    tokens = Tokens(workload, 512)
    first, second, third = (tokens.ids[start : start + 70] for start in tokens.starts)
    assert np.array_equal(first[:64], second[:64])
    assert (first[64:] == second[64:]).mean() < 0.5 and (first == third).mean() < 0.1
    assert tokens.ids.min() >= 0 and tokens.ids.max() < 512
    assert np.array_equal(Tokens(workload, 512).ids, tokens.ids)
