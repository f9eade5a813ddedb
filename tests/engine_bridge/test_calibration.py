import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.calibration import calibrate, predict
from engine_bridge.cost import Coefficients, CostModel, attention_pairs, load_profile
from engine_bridge.step_log import COLUMNS, StepLog, StepLogError, read_step_log

TRUE = CostModel(
    name="true",
    coefficients=Coefficients(fixed=1e-3, request=1e-5, weights=3e-3, token=2e-5, pair=7e-10, kv=3e-8),
)
MIXTURE = CostModel(
    name="mixture",
    coefficients=Coefficients(fixed=1e-3, request=1e-5, weights=7e-4, expert=9e-5, token=9e-6, pair=1e-9, kv=2e-8),
    experts=128,
    top_k=8,
)


def log_of(model: CostModel, n: int, seed: int, *, noise: float = 0.0, outliers: float = 0.0) -> StepLog:
    """`n` varied steps of an engine that is exactly `model`, but for log-normal noise and pauses."""
    rng = np.random.default_rng(seed)
    decodes = rng.integers(0, 257, n)
    prefill = np.where((rng.random(n) < 0.4) | (decodes == 0), rng.integers(1, 4097, n), 0)
    columns = {
        "prefill_tokens": prefill,
        "prefill_attention": attention_pairs(rng.integers(0, 8192, n), prefill),
        "decodes": decodes,
        "decode_kv": decodes * rng.integers(100, 4000, n),
        "batch": decodes + (prefill > 0) * rng.integers(1, 4, n),
        "layer_groups": np.where(prefill > 0, rng.integers(1, 5, n), 1),
    }
    seconds = model.seconds(**columns) * np.exp(noise * rng.standard_normal(n))
    pause = rng.random(n) < outliers
    return StepLog.of({**columns, "seconds": np.where(pause, seconds * rng.uniform(3, 30, n), seconds)})


@pytest.mark.parametrize("model", [TRUE, MIXTURE], ids=["dense", "mixture"])
def test_an_exact_log_gives_the_exact_coefficients(model: CostModel) -> None:
    """All of them, in both regimes, layer groups included; the error on held-out steps is then zero."""
    found = calibrate(log_of(model, 1000, 1), name="found", experts=model.experts, top_k=model.top_k)
    assert asdict(found.coefficients) == pytest.approx(asdict(model.coefficients), rel=1e-6)
    assert found.error["regimes"]["all"]["largest"] == 0 and found.fitted


@pytest.mark.parametrize("model", [TRUE, MIXTURE], ids=["dense", "mixture"])
def test_noise_and_pauses_hardly_move_the_fit(model: CostModel) -> None:
    """5 % noise and 3 % pauses of 3 to 30 times the step: the model's times stay within 3 % of the true ones."""
    log = log_of(model, 3000, 2, noise=0.05, outliers=0.03)
    found = calibrate(log, name="found", experts=model.experts, top_k=model.top_k)
    assert np.abs(predict(found, log) / predict(model, log) - 1).max() < 0.03
    regimes = found.error["regimes"]
    assert regimes["compute-bound"]["steps"] + regimes["memory-bound"]["steps"] == regimes["all"]["steps"] == 600
    assert 0.02 < regimes["all"]["median"] < 0.05 < regimes["all"]["p90"] < 0.2
    assert 5 < found.error["outliers"] < 40 and abs(found.error["total"]) < 0.03


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(40, 120))
def test_no_coefficient_is_ever_negative(seed: int, n: int) -> None:
    """Even where the times have nothing to do with the work."""
    log = log_of(TRUE, n, seed)
    rng = np.random.default_rng(seed)
    nonsense = StepLog.of({**{name: getattr(log, name) for name in COLUMNS}, "seconds": rng.random(n) + 1e-6})
    values = asdict(calibrate(nonsense, name="found").coefficients).values()
    assert all(value >= 0 and np.isfinite(value) for value in values)


def test_a_log_of_decodes_only_leaves_the_arithmetic_at_zero() -> None:
    """What a log does not show is not made up; the regime says that it has no steps."""
    full = log_of(TRUE, 2000, 3)
    decodes = full.select((full.prefill_tokens == 0) & (full.decodes < 100))
    found = calibrate(decodes, name="found")
    assert found.coefficients.pair == 0 and found.error["regimes"]["compute-bound"]["steps"] == 0
    assert predict(found, decodes) == pytest.approx(decodes.seconds, rel=1e-6)


def test_a_log_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """As CSV and as JSON lines; optional columns have defaults, other columns are left alone, idle steps left out."""
    log = log_of(TRUE, 50, 4)
    log.write(tmp_path / "log.csv")
    again = read_step_log(tmp_path / "log.csv")
    assert all(np.array_equal(getattr(log, name), getattr(again, name)) for name in COLUMNS)
    step = {"prefill_tokens": 5, "prefill_attention": 15, "decodes": 2, "decode_kv": 30, "seconds": 0.25, "note": "x"}
    idle = dict.fromkeys(step, 0)
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(step)}\n{json.dumps(idle)}\n\n")
    one = read_step_log(tmp_path / "log.jsonl")
    assert (len(one), one.batch[0], one.layer_groups[0], one.seconds[0]) == (1, 3, 1, 0.25)


HEADER = "prefill_tokens,prefill_attention,decodes,decode_kv,seconds,layer_groups\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no steps"),
        ("time,tokens\n1,2\n", "line 2: no prefill_tokens, prefill_attention, decodes, decode_kv, seconds;"),
        (HEADER + "0,0,1,5,0.1,1\n0,0,1,x,0.1,1\n", "line 3: decode_kv is 'x'; give a finite number, 0 or more"),
        (HEADER + "0,0,-1,5,0.1,1\n", "line 2: decodes is '-1'"),
        (HEADER + "0,0,1,5,nan,1\n", "line 2: seconds is 'nan'"),
        (HEADER + "0,0,1,5,0,1\n", "line 2: seconds is 0; give the step's time, above 0"),
        (HEADER + "0,0,1,5,0.1,0\n", "line 2: layer_groups is 0; give 1 or more"),
        ('{"prefill_tokens": 1}\n{"prefill', "line 1: no prefill_attention"),
        ('{"prefill_tokens"\n', "line 1: no JSON"),
        ("{}\n[1]\n", "line 1: no prefill_tokens"),
    ],
)
def test_bad_logs_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """With the line, the value and the remedy."""
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(StepLogError, match=message):
        read_step_log(path)


def test_too_few_or_equal_steps_are_refused() -> None:
    """Nothing can be told from them."""
    log = log_of(TRUE, 100, 5)
    with pytest.raises(StepLogError, match="has 39 steps with tokens; log at least 40"):
        calibrate(log.select(np.arange(39)), name="x")
    with pytest.raises(StepLogError, match="log a varied workload"):
        calibrate(log.select(np.zeros(50, dtype=int)), name="x")


def test_a_fitted_profile_is_a_profile(tmp_path: Path) -> None:
    """It saves and loads like a shipped one."""
    found = calibrate(log_of(TRUE, 200, 6), name="found")
    found.save(tmp_path / "found.json")
    assert load_profile(tmp_path / "found.json") == found
