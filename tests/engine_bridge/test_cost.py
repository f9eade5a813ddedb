import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge import step_time
from engine_bridge.cost import (
    Coefficients,
    CostModel,
    ProfileError,
    attention_pairs,
    load_profile,
    shipped_profiles,
    touched,
)
from engine_bridge.roofline import H200, LLAMA_3_8B, MIXTRAL_8X7B, QWEN3_30B_A3B, SHIPPED, derive

LLAMA = load_profile("h200-llama3-8b")

non_negative = st.floats(0, 1e-2, allow_subnormal=False)
models = st.builds(
    CostModel,
    name=st.just("any"),
    coefficients=st.builds(Coefficients, **dict.fromkeys(asdict(Coefficients()), non_negative)),
    experts=st.just(8),
    top_k=st.integers(1, 8),
)
steps = st.tuples(
    st.integers(0, 8192),
    st.integers(0, 10**8),
    st.integers(0, 512),
    st.integers(0, 10**6),
    st.integers(0, 600),
    st.integers(1, 16),
)
COLUMNS = ("prefill_tokens", "prefill_attention", "decodes", "decode_kv", "batch", "layer_groups")


@settings(derandomize=True, deadline=None)  # the first call compiles
@given(models, steps)
def test_compiled_and_plain_model_agree(model: CostModel, step: tuple[int, ...]) -> None:
    """Two implementations of one formula, on any coefficients and any step."""
    plain = float(model.seconds(**dict(zip(COLUMNS, step, strict=True))))
    assert step_time.step_seconds(model.vector, *map(float, step)) == pytest.approx(plain, rel=1e-12, abs=1e-18)


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_attention_pairs_do_not_depend_on_how_a_prompt_is_cut(computed: int, first: int, second: int) -> None:
    """Chunks add up, and the pairs of a whole prompt are those of a triangle; compiled and plain alike."""
    whole = attention_pairs(computed, first + second)
    assert attention_pairs(computed, first) + attention_pairs(computed + first, second) == whole
    assert attention_pairs(0, first) == first * (first + 1) / 2
    assert step_time.attention_pairs(float(computed), float(first + second)) == whole


@pytest.mark.parametrize(
    ("batch", "context", "milliseconds", "throughput"),
    [(1, 1024, 3.4, 296), (64, 1024, 5.1, 12_500), (256, 1024, 12.4, 20_600)],
)
def test_the_llama_profile_gives_the_ideal_step_times(
    batch: int, context: int, milliseconds: float, throughput: float
) -> None:
    """Those of a roofline by hand: 4.8 TB/s, 790 TFLOP/s, 16.06 GB of weights, 128 KiB of KV a token."""
    seconds = float(LLAMA.seconds(decodes=batch, decode_kv=batch * context))
    assert round(1e3 * seconds, 1) == milliseconds
    assert batch / seconds == pytest.approx(throughput, rel=0.006)


def test_the_llama_profile_prefills_at_the_ideal_rate() -> None:
    """49 thousand tokens per second, attention aside."""
    assert 8192 / float(LLAMA.seconds(prefill_tokens=8192)) == pytest.approx(49_000, rel=0.01)


def test_shapes_have_the_published_number_of_parameters() -> None:
    """8.03, 46.7 and 30.5 billion; 128 KiB of KV a token for the first two."""
    assert [round(shape.parameters / 1e9, 1) for shape in (LLAMA_3_8B, MIXTRAL_8X7B, QWEN3_30B_A3B)] == [
        8.0,
        46.7,
        30.5,
    ]
    assert LLAMA_3_8B.kv_bytes == MIXTRAL_8X7B.kv_bytes == 128 * 1024


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_are_what_the_roofline_gives(name: str) -> None:
    """Coefficients, error and origin; and they say that nothing was measured."""
    model = load_profile(name)
    assert model == derive(name, *SHIPPED[name])
    assert not model.fitted and "not measured" in model.origin
    assert set(SHIPPED) == set(shipped_profiles())


def test_the_form_of_the_model_fits_a_dense_roofline() -> None:
    """Within 4 % of a roofline kernel by kernel, everywhere on the grid."""
    regimes = derive("x", H200, LLAMA_3_8B).error["regimes"]
    assert all(figures["steps"] > 50 and figures["largest"] < 0.04 for figures in regimes.values())


def test_experts_touched_grow_from_top_k_to_all() -> None:
    """None by no token, k by one, nearly all by many; and none ever in a dense model."""
    assert touched(8, 2, [0, 1, 2, 1000]) == pytest.approx([0, 2, 3.5, 8])
    assert touched(0, 0, [0, 5]).tolist() == [0, 0]


def test_layered_prefill_spares_weight_traffic_but_not_decodes() -> None:
    """A step of one of g groups costs less than the whole; g of them cost what the decodes add, and no less prefill."""
    model = load_profile("h200-mixtral-8x7b")
    whole = float(model.seconds(prefill_tokens=4096, prefill_attention=4096**2, decodes=32, decode_kv=32_000))
    part = float(
        model.seconds(prefill_tokens=4096, prefill_attention=4096**2, decodes=32, decode_kv=32_000, layer_groups=8)
    )
    alone = float(model.seconds(decodes=32, decode_kv=32_000))
    assert alone < part < whole < 8 * part
    assert float(model.seconds(prefill_tokens=4096, layer_groups=8)) == pytest.approx(
        float(model.seconds(prefill_tokens=4096)) / 8
    )


@settings(derandomize=True, deadline=None)
@given(models, st.integers(0, 4096), st.integers(0, 4096), st.integers(0, 256))
def test_more_work_never_takes_less_time(model: CostModel, prefill: int, more: int, decodes: int) -> None:
    """In prefill tokens and in decodes."""
    one = model.seconds(prefill_tokens=prefill, decodes=decodes)
    assert model.seconds(prefill_tokens=prefill + more, decodes=decodes) >= one * (1 - 1e-12)
    assert model.seconds(prefill_tokens=prefill, decodes=decodes + 1) >= one * (1 - 1e-12)


def test_a_saved_profile_loads_as_it_was(tmp_path: Path) -> None:
    """All fields, through JSON."""
    LLAMA.save(tmp_path / "mine.json")
    assert load_profile(tmp_path / "mine.json") == LLAMA


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no cost profile"),
        ('{"coefficients": {"token": -1}}', "token is -1; give seconds ≥ 0"),
        ('{"coefficients": {"token": "1"}}', "token is '1'; give a number"),
        ('{"coefficients": {"tokens": 1}}', "unknown tokens"),
        ('{"coefficients": {}, "experts": 8}', "top_k 0 of 8 experts"),
    ],
)
def test_bad_profiles_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """In one sentence that names the file or profile and the value."""
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ProfileError, match=message):
        load_profile(path)
    with pytest.raises(ProfileError, match="no cost profile nosuch; give a JSON file or one of h200"):
        load_profile("nosuch")


def test_profiles_are_strict_json() -> None:
    """Nothing infinite, and the vector has the coefficients in the order of the fields."""
    vector = LLAMA.vector
    assert vector.dtype == np.float64 and vector[:7].tolist() == list(asdict(LLAMA.coefficients).values())
    json.dumps(asdict(LLAMA), allow_nan=False)
