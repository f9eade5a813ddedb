"""Whether the kernels are right: attention by every back-end against SDPA in float32, and whole models likewise.

The error of an array is ‖found − expected‖ / ‖expected‖, so that it does not hang on one number near 0. Memory that
results are written to is poisoned with NaN before, which shows what was not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch

from engine_bridge.gpu_check.part import Part
from engine_bridge.torch_engine.attention import AttentionBackend, choose_backend
from engine_bridge.torch_engine.attention.varlen import PAGE
from engine_bridge.torch_engine.batch import StepBatch, make_batch, to_device
from engine_bridge.torch_engine.cache import KVCache
from engine_bridge.torch_engine.errors import EngineError
from engine_bridge.torch_engine.model import Model
from engine_bridge.torch_engine.opening import DTYPES, find_device
from engine_bridge.torch_engine.ops import PlainOps
from engine_bridge.torch_engine.runner import Runner, RunnerSettings
from engine_bridge.torch_engine.shape import PRESETS, ModelShape
from engine_bridge.torch_engine.weights import Weights, random_weights

ATTENTION_LIMIT = {"float32": 1e-4, "float16": 3e-3, "bfloat16": 1.5e-2}
"""Largest error of attention that counts as rounding, by type."""
MODEL_LIMIT = {"float32": 1e-3, "bfloat16": 6e-2}
"""Likewise of the logits of a whole model, whose layers each round."""

HEADS = ((32, 8, 128), (32, 4, 128), (4, 2, 32), (8, 8, 80))
"""Query heads, KV heads and head size: those of the presets, and one whose size is no power of 2."""
MIXES = {
    "1 decode": ([1], [2000]),
    "64 decodes": ([1] * 64, list(range(1, 1024, 16))),
    "decodes and prompts": ([1, 1, 1, 1, 1, 300, 17, 64], [0, 15, 16, 900, 63, 0, 500, 33]),
}
"""Tokens of each sequence, and how many are computed before."""
QUICK = {"decodes and prompts": ([1, 1, 9, 3], [0, 15, 0, 20])}
POOL = 20_480
"""Slots of the paged cache, whatever the size of a page."""


def run(part: Part) -> None:
    """Emit `attention`, `models` and `right`: whether all errors are within their limits."""
    device = find_device(part.device)
    right = [*_attention(part, device), *_models(part, device)]
    part.emit("right", value=all(right))
    part.say(f"{sum(right)} of {len(right)} comparisons within their limits")


def backends(part: Part, device: torch.device) -> Iterator[tuple[AttentionBackend, int]]:
    """The back-ends that run here, with a page size they take; others are said to be left out."""
    names = ["sdpa"] if device.type == "cpu" else []
    if device.type == "cuda" or (find_spec("triton") and os.environ.get("TRITON_INTERPRET") == "1"):
        names.append("triton")
    if device.type == "cuda":
        names.append("varlen")
    for name in names:
        try:
            yield choose_backend(device, name), PAGE if name == "varlen" else 16
        except EngineError as error:
            part.leave_out(f"back-end {name}", str(error))


def _attention(part: Part, device: torch.device) -> Iterator[bool]:
    """Compare attention; whether each error is within its limit."""
    for backend, page in backends(part, device):
        for shape, dtype in _cases(backend.name, quick=part.quick):
            worst = 0.0
            for counts, computed in (QUICK if part.quick else MIXES).values():
                worst = max(worst, attention_error(backend, page, shape, DTYPES[dtype], counts, computed, device))
            name = f"{'x'.join(map(str, shape))} {dtype}"
            record = {"error": _finite(worst), "limit": ATTENTION_LIMIT[dtype]}
            part.emit("attention", backend.name, name, value=record)
            part.say(f"attention {backend.name:7} {name:20} error {worst:.1e} of at most {ATTENTION_LIMIT[dtype]:g}")
            yield worst <= ATTENTION_LIMIT[dtype]


def _cases(backend: str, *, quick: bool) -> Iterator[tuple[tuple[int, int, int], str]]:
    """Heads and types: all types for the first, two for the small one; FlashAttention knows no float32."""
    if quick:
        yield (4, 2, 32), "float32"
        return
    for shape in HEADS:
        yield shape, "bfloat16"
    yield HEADS[0], "float16"
    if backend != "varlen":
        yield HEADS[0], "float32"
        yield HEADS[2], "float32"


def attention_error(
    backend: AttentionBackend,
    page: int,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    counts: list[int],
    computed: list[int],
    device: torch.device,
) -> float:
    """The error of a back-end on random numbers, against SDPA in float32 on the same."""
    heads, kv_heads, head_dim = shape
    pages = POOL // page
    batch = to_device(_batch(counts, computed, page, pages), device)
    source = torch.Generator(device).manual_seed(sum(counts) + sum(computed))
    queries, keys, values = (
        torch.randn(size, generator=source, device=device).to(dtype)
        for size in ((batch.tokens, heads, head_dim), *2 * ((pages, page, kv_heads, head_dim),))
    )
    expected = choose_backend(device, "sdpa").attend(queries.float(), keys.float(), values.float(), batch)
    poison = torch.full_like(queries, float("nan"))
    del poison  # what is given out next
    return error_of(backend.attend(queries, keys, values, batch), expected)


def _batch(counts: list[int], computed: list[int], page: int, pages: int) -> StepBatch:
    """Sequences on pages in disorder, of which several may have the same."""
    rng = np.random.default_rng(len(counts))
    width = -(-max(np.add(counts, computed)) // page)
    # Reading alone, so that pages may be shared; there are too few for 64 sequences of their own.
    tables = np.stack([rng.permutation(pages)[:width] for _ in counts])
    return make_batch(
        token_ids=np.zeros(sum(counts)), counts=np.array(counts), computed=np.array(computed), block_tables=tables,
        block_size=page,
    )  # fmt: skip


def error_of(found: torch.Tensor, expected: torch.Tensor) -> float:
    """‖found − expected‖ / ‖expected‖; NaN stays."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _models(part: Part, device: torch.device) -> Iterator[bool]:
    """Compare whole models step by step; and the ways that a runner has of doing one step."""
    types = ("float32",) if device.type == "cpu" else ("float32", "bfloat16")
    for name in ("tiny", "tiny-moe"):
        for dtype in types:
            weights = random_weights(PRESETS[name], seed=1, dtype=DTYPES[dtype], device=device)
            error = model_error(weights, device)
            part.emit("models", f"{name} {dtype}", value={"error": _finite(error), "limit": MODEL_LIMIT[dtype]})
            part.say(f"model {name} {dtype}: error of the logits {error:.1e} of at most {MODEL_LIMIT[dtype]:g}")
            yield error <= MODEL_LIMIT[dtype]
        weights = random_weights(PRESETS[name], seed=1, dtype=torch.float32, device=device)
        same = ways_agree(weights, device)
        part.emit("models", f"{name}, the same tokens", value=same)
        part.say(f"model {name}: {', '.join(f'{way}: {agreed}' for way, agreed in same.items())}")
        yield all(same.values())


def model_error(weights: Weights, device: torch.device) -> float:
    """The largest error of logits over chunks of prompts and decodes: the usual kernels against plain torch."""
    usual = Model(weights)
    plain = Model(weights, choose_backend(device, "sdpa"), PlainOps())
    caches = [_cache(weights.shape, weights.dtype, device) for _ in range(2)]
    worst = 0.0
    with torch.inference_mode():
        for batch in _story(weights.shape):
            there = to_device(batch, device)
            found, expected = (model.forward(there, cache) for model, cache in zip((usual, plain), caches, strict=True))
            worst = max(worst, error_of(found, expected))
    return worst


def ways_agree(weights: Weights, device: torch.device) -> dict[str, bool]:
    """Whether the same tokens come out with recorded decodes, and of prompts that go through groups of layers."""
    shape = weights.shape
    settings = RunnerSettings(max_running=8, max_tokens=128)
    runners = [
        Runner(Model(weights), _cache(shape, weights.dtype, device), settings),
        Runner(Model(weights), _cache(shape, weights.dtype, device), RunnerSettings(graphs=False)),
        Runner(Model(weights), _cache(shape, weights.dtype, device), RunnerSettings(graphs=False)),
    ]
    runners[0].warm_up()
    tokens: list[list[int]] = [[], [], []]
    for batch in _story(shape):
        for runner, found in zip(runners[:2], tokens[:2], strict=True):
            found += runner.step(batch).tolist()
        layered = runners[2]
        cohort = layered.start_layered(batch, 2)
        layered.step_layered(None, cohort)
        _, last = layered.step_layered(None, cohort)
        tokens[2] += [] if last is None else last.tolist()
    return {"graphs": tokens[0] == tokens[1], "layered": tokens[2] == tokens[1]}


def _cache(shape: ModelShape, dtype: torch.dtype, device: torch.device) -> KVCache:
    return KVCache(shape, blocks=64, block_size=16, dtype=dtype, device=device)


def _story(shape: ModelShape) -> Iterator[StepBatch]:
    """Two prompts in two chunks each, then three decodes."""
    rng = np.random.default_rng(7)
    tables = rng.permutation(64)[:20].reshape(2, 10)
    computed = np.zeros(2, dtype=np.int64)
    for counts in ([40, 33], [17, 50], [1, 1], [1, 1], [1, 1]):
        yield make_batch(
            token_ids=rng.integers(0, shape.vocab, sum(counts)), counts=np.array(counts), computed=computed,
            block_tables=tables, block_size=16,
        )  # fmt: skip
        computed = computed + counts
