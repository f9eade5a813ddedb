"""Two pools: every token is that of one pool, blocks come back, and what no pool can hold is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.outcome import Outcome
from engine_bridge.policy import FCFS, Array, Policy, Trusted
from engine_bridge.settings import EngineSettings
from engine_bridge.step_log import StepLog
from engine_bridge.workload import Workload
from tests.engine_bridge.traffic import make_workload

torch = pytest.importorskip("torch", reason="torch is not installed: make test-engine installs it and runs these")

from engine_bridge.torch_engine.pools import PoolEngine  # noqa: E402
from tests.engine_bridge.fakes import BY_TOKENS, FakeRunner, VirtualClock, alone  # noqa: E402

SMALL = EngineSettings(blocks=80, max_running=6, max_tokens=96)


def serve(
    workload: Workload,
    policy: Policy = FCFS,
    engine: EngineSettings = SMALL,
    share: float = 0.4,
    concurrency: int | None = None,
) -> tuple[Outcome, int]:
    """A run on the clock of the cost model, and how many blocks were copied; every token is checked."""
    clock = VirtualClock()
    runner = FakeRunner(BY_TOKENS, clock, engine.blocks, engine.block_size)
    copied = 0

    def copy(own: Array, theirs: Array) -> None:
        nonlocal copied
        copied += len(own)
        size = engine.block_size
        for to, source in zip(own.tolist(), theirs.tolist(), strict=True):
            runner.contents[to * size : (to + 1) * size] = runner.contents[source * size : (source + 1) * size]

    serving = PoolEngine(runner, engine, share, copy)
    outcome = serving.serve(workload, policy, clock=clock, concurrency=concurrency, strict=True)
    tokens = serving.tokens
    for request, (prompt, output) in enumerate(zip(workload.prompt, workload.output, strict=True)):
        start = int(tokens.starts[request])
        assert tokens.outputs(request).tolist() == alone(tokens.ids[start : start + prompt], int(output))
    return outcome, copied


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["", "sjf", "hold", "layers"]),
    st.sampled_from([0.3, 0.6]),
    st.sampled_from([None, 3]),
)
def test_every_token_is_that_of_one_pool(seed: int, kind: str, share: float, concurrency: int | None) -> None:
    """KV is handed over whole, with and without policies that pause and spread; times are in order."""
    rng = np.random.default_rng(seed)
    functions = {
        "": {},
        "sjf": {"rank_waiting": lambda view: view.predicted},
        "hold": {"hold": lambda view: rng.integers(0, 2, int(view.running))},
        "layers": {"layer_groups": lambda view: 3},
    }[kind]
    workload = make_workload(seed, rate=200.0)
    outcome, copied = serve(workload, Trusted(functions), share=share, concurrency=concurrency)
    arrival = outcome.served(workload).arrival
    assert (outcome.first_token > arrival).all() and (outcome.finish >= outcome.first_token).all()
    assert ((outcome.finish == outcome.first_token) == (workload.output == 1)).all()
    assert outcome.gaps[:, 1].sum() == (workload.output - 1).sum()
    assert copied == (-(-workload.prompt // SMALL.block_size))[workload.output > 1].sum()
    if concurrency is not None:
        under_way = [(arrival <= moment).sum() - (outcome.finish <= moment).sum() for moment in arrival]
        assert max(under_way) <= concurrency


def test_blocks_come_back_and_steps_are_logged() -> None:
    """At the end both pools are free; the log holds the steps of both, one after the other, and can be fitted to."""
    outcome, _ = serve(make_workload(rate=200.0))
    log = outcome.step_log
    assert log is not None and set(log["pool"]) == {0, 1}
    free = {number: log["free_blocks"][log["pool"] == number][-1] for number in (0, 1)}
    assert free[1] == 48 and 0 < free[0] <= 32
    assert (np.diff(log["start"]) >= log["seconds"][:-1] - 1e-9).all()
    assert (log["decodes"][log["pool"] == 0] == 0).all()
    assert len(StepLog.of(log)) == outcome.steps == len(log["model_seconds"])


def test_prompts_stop_when_decodes_do_not_keep_up() -> None:
    """With hardly any room for decodes, prompts that are done keep their blocks, and all are served in the end."""
    workload = make_workload(rate=1e4, output=np.full(20, 30), predicted=np.full(20, 30))
    outcome, _ = serve(workload, engine=dataclasses.replace(SMALL, blocks=60), share=0.7)
    roomy, _ = serve(workload, engine=dataclasses.replace(SMALL, blocks=600), share=0.5)
    assert outcome.first_token.max() > roomy.first_token.max()
    assert np.isfinite(outcome.finish).all()


def test_a_decode_that_loses_its_blocks_starts_anew_there() -> None:
    """Preempted in the pool of decodes, a request computes its prompt there once more."""
    workload = make_workload(n=8, rate=1e4, prompt=np.full(8, 60), output=np.full(8, 100), predicted=np.full(8, 100))
    engine = EngineSettings(blocks=36, max_running=6, max_tokens=96, reserve=False)
    outcome, _ = serve(workload, engine=engine, share=0.4)
    assert outcome.preemptions.sum() > 0


def test_what_a_pool_cannot_hold_is_refused() -> None:
    """A request fits the engine but not the pool of decodes: the sentence says how many blocks there are."""
    workload = Workload.of("long", [0.0], [400], [100])
    with pytest.raises(ValueError, match="needs 32 KV blocks, more than the 24 there are"):
        serve(workload, share=0.7)
