"""Cost profiles derived from a GPU's and a model's published figures: an ideal engine, nothing measured.

The figures of `H200` and `LLAMA_3_8B` (4.8 TB/s, 790 TFLOP/s usable in bf16, 16.06 GB of weights, 128 KiB of KV a
token) are those of the ideal step times the project plans with, and all weights, embedding and output head included,
are read once a step and multiplied with every token, as there.

`kernels` is a finer roofline of the same figures: every matrix product and every attention call at its own limit,
activations and the KV that a prompt chunk reads included. `form_error` compares the two on a grid: what the shape of
the cost model loses, which is the error shown in the shipped profiles. What an engine loses against its roofline is
in neither; `discover calibrate` measures that.

    python -m engine_bridge.roofline    # writes engine_bridge/profiles again
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine_bridge.cost import (
    COMPUTE_BOUND,
    MEMORY_BOUND,
    Coefficients,
    CostModel,
    attention_pairs,
    touched,
)

BYTES = 2
"""Bytes of a number in bf16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """bandwidth: bytes/s of the GPU's memory. flops: usable bf16 operations/s."""

    name: str
    bandwidth: float
    flops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A transformer's dimensions; `experts` 0 for dense, `inner` is then the width of its one feed-forward part."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocabulary: int
    experts: int = 0
    top_k: int = 0

    @property
    def products(self) -> list[tuple[int, int]]:
        """(rows, columns) of the matrices of one layer that every token is multiplied with."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        attention = [(self.hidden, queries + 2 * keys), (queries, self.hidden)]
        return attention if self.experts else attention + self.feed_forward

    @property
    def feed_forward(self) -> list[tuple[int, int]]:
        """(rows, columns) of the matrices of one expert, or of the dense feed-forward part: gate with up, down."""
        return [(self.hidden, 2 * self.inner), (self.inner, self.hidden)]

    @property
    def shared(self) -> int:
        """Parameters every token is multiplied with: the embedding and the output head count as such."""
        return self.layers * _size(self.products) + 2 * self.vocabulary * self.hidden

    @property
    def expert(self) -> int:
        """Parameters of one expert, all layers; 0 for a dense model."""
        return self.layers * _size(self.feed_forward) if self.experts else 0

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.shared + self.experts * self.expert

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV that one token holds."""
        return 2 * self.layers * self.kv_heads * self.head * BYTES

    @property
    def pair_flops(self) -> int:
        """Operations for one query–key pair, all heads and layers: a product with the key, one with the value."""
        return 4 * self.layers * self.heads * self.head


H200 = Hardware(name="H200", bandwidth=4.8e12, flops=790e12)

LLAMA_3_8B = Shape(
    name="Llama-3-8B",
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head=128,
    inner=14336,
    vocabulary=128256,
)
MIXTRAL_8X7B = replace(LLAMA_3_8B, name="Mixtral-8x7B (8 experts, top 2)", vocabulary=32000, experts=8, top_k=2)
QWEN3_30B_A3B = Shape(
    name="Qwen3-30B-A3B (128 experts, top 8)",
    layers=48,
    hidden=2048,
    heads=32,
    kv_heads=4,
    head=128,
    inner=768,
    vocabulary=151936,
    experts=128,
    top_k=8,
)

SHIPPED = {
    "h200-llama3-8b": (H200, LLAMA_3_8B),
    "h200-mixtral-8x7b": (H200, MIXTRAL_8X7B),
    "h200-qwen3-30b-a3b": (H200, QWEN3_30B_A3B),
}
"""The profiles that come with the package."""

PREFILL = (0, 64, 256, 1024, 4096, 8192)
"""The grid of `form_error`: prompt tokens of the step, all of one request, …"""
COMPUTED = (0, 2048, 16384)
"""… tokens of that request that are computed already, …"""
DECODES = (0, 1, 8, 32, 64, 128, 256)
"""… requests that decode, …"""
CONTEXT = (256, 1024, 8192)
"""… and tokens of KV each of them reads."""


def derive(name: str, hardware: Hardware, shape: Shape) -> CostModel:
    """The cost model of an ideal engine, with its form error against `kernels`."""
    coefficients = Coefficients(
        weights=BYTES * shape.shared / hardware.bandwidth,
        expert=BYTES * shape.expert / hardware.bandwidth,
        token=2 * (shape.shared + shape.top_k * shape.expert) / hardware.flops,
        pair=shape.pair_flops / hardware.flops,
        kv=shape.kv_bytes / hardware.bandwidth,
    )
    model = CostModel(
        name=name,
        coefficients=coefficients,
        experts=shape.experts,
        top_k=shape.top_k,
        origin=(
            f"derived, not measured: roofline of one {hardware.name} ({hardware.bandwidth / 1e12:g} TB/s, "
            f"{hardware.flops / 1e12:g} TFLOP/s) and the {shape.name} shape in bf16 "
            f"({BYTES * shape.parameters / 1e9:.2f} GB weights, {shape.kv_bytes // 1024} KiB KV per token)"
        ),
    )
    return replace(model, error=form_error(model, hardware, shape))


def kernels(hardware: Hardware, shape: Shape, prefill: int, computed: int, decodes: int, context: int) -> float:
    """Seconds of a step, every kernel at its own roofline.

    One request prefills `prefill` tokens after `computed` ones; `decodes` requests read `context` tokens of KV each.
    """

    def roof(flops: float, traffic: float) -> float:
        return max(flops / hardware.flops, traffic / hardware.bandwidth)

    def product(rows: int, columns: int, tokens: float, copies: float = 1.0) -> float:
        """`copies` matrices of one size, `tokens` rows multiplied with each of them."""
        numbers = copies * (rows * columns + tokens * (rows + columns))
        return roof(2 * copies * tokens * rows * columns, BYTES * numbers)

    tokens = prefill + decodes
    per_layer = sum(product(*size, tokens) for size in shape.products)
    if shape.experts:
        copies = float(touched(shape.experts, shape.top_k, tokens))
        per_layer += sum(product(*size, tokens * shape.top_k / copies, copies) for size in shape.feed_forward)
    pairs = float(attention_pairs(computed, prefill))
    return (
        shape.layers * per_layer
        + product(shape.hidden, 2 * shape.vocabulary, tokens)
        + roof(shape.pair_flops * pairs, shape.kv_bytes * (computed + prefill) * (prefill > 0))
        + roof(shape.pair_flops * decodes * context, shape.kv_bytes * decodes * context)
    )


def form_error(model: CostModel, hardware: Hardware, shape: Shape) -> dict[str, Any]:
    """Relative error of `model` against `kernels` on the grid, by regime: steps, median, p90 and largest."""
    errors: dict[str, list[float]] = {COMPUTE_BOUND: [], MEMORY_BOUND: []}
    for prefill, computed, decodes, context in grid():
        exact = kernels(hardware, shape, prefill, computed, decodes, context)
        guess = model.seconds(
            prefill_tokens=prefill,
            prefill_attention=attention_pairs(computed, prefill),
            decodes=decodes,
            decode_kv=decodes * context,
            batch=decodes + (prefill > 0),
        )
        bound = model.compute_bound(np.asarray(prefill + decodes))
        errors[COMPUTE_BOUND if bound else MEMORY_BOUND].append(abs(float(guess) / exact - 1))
    regimes = {name: {"steps": len(each), **_quantiles(each)} for name, each in errors.items()}
    return {"against": "a finer roofline, kernel by kernel, on a grid of steps", "regimes": regimes}


def grid() -> Iterator[tuple[int, int, int, int]]:
    """(prefill, computed, decodes, context) of every step of the grid, each once."""
    for prefill, computed, decodes, context in itertools.product(PREFILL, COMPUTED, DECODES, CONTEXT):
        redundant = (not prefill and computed) or (not decodes and context != CONTEXT[0])
        if prefill + decodes and not redundant:
            yield prefill, computed, decodes, context


def _quantiles(errors: list[float]) -> dict[str, float]:
    """Rounded for a file that people read."""
    median, high, largest = (round(float(value), 4) for value in np.quantile(errors, (0.5, 0.9, 1.0)))
    return {"median": median, "p90": high, "largest": largest}


def _size(products: list[tuple[int, int]]) -> int:
    return sum(rows * columns for rows, columns in products)


if __name__ == "__main__":
    for profile, (gpu, model_shape) in SHIPPED.items():
        derive(profile, gpu, model_shape).save(Path(__file__).parent / "profiles" / f"{profile}.json")
