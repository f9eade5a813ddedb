"""The forward pass in pieces, so that it can stop between any two layers and go on in a later step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from engine_bridge.torch_engine.attention import AttentionBackend, choose_backend
from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.cache import KVCache
from engine_bridge.torch_engine.experts import has_grouped_product, run_experts
from engine_bridge.torch_engine.ops import Ops, PlainOps, rope_table
from engine_bridge.torch_engine.weights import LayerWeights, Weights


@dataclass(frozen=True, slots=True)
class Hidden:
    """What runs through the layers: the output of the last part, and the sum of all before it, None before the first.

    Shape (T, hidden) each. The two are added by the norm that follows, in one pass over memory.
    """

    x: Tensor
    residual: Tensor | None = None

    def split(self, first: int) -> tuple[Hidden, Hidden]:
        """The first tokens, and the others."""
        if self.residual is None:
            return Hidden(self.x[:first]), Hidden(self.x[first:])
        return Hidden(self.x[:first], self.residual[:first]), Hidden(self.x[first:], self.residual[first:])

    def followed_by(self, other: Hidden) -> Hidden:
        """The tokens of both, which have come equally far."""
        if self.residual is None or other.residual is None:
            return Hidden(torch.cat([self.x, other.x]))
        return Hidden(torch.cat([self.x, other.x]), torch.cat([self.residual, other.residual]))


class Model:
    """A decoder of the Llama family on paged KV."""

    def __init__(self, weights: Weights, backend: AttentionBackend | None = None, ops: Ops | None = None) -> None:
        self.weights = weights
        self.shape = weights.shape
        self.backend = backend or choose_backend(weights.device)
        self.ops: Ops = ops or choose_ops(self.backend)
        self.rope = rope_table(self.shape, weights.device)

    @property
    def graphs(self) -> bool:
        """Whether a decode step can be recorded in a CUDA graph."""
        weights = self.weights
        grouped = not self.shape.experts or has_grouped_product(weights.device, weights.dtype)
        return weights.device.type == "cuda" and self.backend.graphs and grouped

    def embed(self, batch: DeviceBatch) -> Hidden:
        """The tokens before the first layer."""
        return Hidden(embedding(batch.token_ids, self.weights.embedding))

    def run(self, hidden: Hidden, batch: DeviceBatch, cache: KVCache, layers: Iterable[int]) -> Hidden:
        """The tokens after these layers, which follow those that `hidden` has been through; their KV is stored."""
        for number in layers:
            hidden = self._layer(hidden, batch, cache, number)
        return hidden

    def _layer(self, hidden: Hidden, batch: DeviceBatch, cache: KVCache, number: int) -> Hidden:
        layer, shape, ops = self.weights.layers[number], self.shape, self.ops
        x, residual = self._norm(hidden, layer.attention_norm)
        qkv = linear(x, layer.qkv, layer.qkv_bias)
        keys, values = cache.keys(number), cache.values(number)
        queries = ops.rotate_and_store(qkv, shape, layer, self.rope, batch, keys, values)
        attended = self.backend.attend(queries, keys, values, batch)
        x = linear(attended.view(len(x), shape.query_size), layer.output)
        x, residual = ops.add_norm(x, residual, layer.feed_forward_norm, shape.norm_eps)
        return Hidden(self._feed_forward(x, layer), residual)

    def _norm(self, hidden: Hidden, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The norm of what `hidden` stands for, and itself."""
        if hidden.residual is None:
            return self.ops.norm(hidden.x, weight, self.shape.norm_eps), hidden.x
        return self.ops.add_norm(hidden.x, hidden.residual, weight, self.shape.norm_eps)

    def _feed_forward(self, x: Tensor, layer: LayerWeights) -> Tensor:
        if self.shape.experts:
            return run_experts(x, layer, self.shape, self.ops)
        return linear(self.ops.silu_mul(linear(x, layer.gate_up)), layer.down)

    def logits(self, hidden: Hidden, last: Tensor) -> Tensor:
        """Logits that follow the tokens with the numbers `last`, once through all layers; shape (len(last), vocab)."""
        rows = last.long()
        residual = None if hidden.residual is None else hidden.residual.index_select(0, rows)
        chosen = Hidden(hidden.x.index_select(0, rows), residual)
        x, _ = self._norm(chosen, self.weights.norm)
        return linear(x, self.weights.head)

    def forward(self, batch: DeviceBatch, cache: KVCache) -> Tensor:
        """All layers in one go; logits for the sequences that want a token, shape (number wanted, vocab)."""
        hidden = self.run(self.embed(batch), batch, cache, range(self.shape.layers))
        return self.logits(hidden, batch.last)


def choose_ops(backend: AttentionBackend) -> Ops:
    """Fused kernels where attention is done by kernels, plain torch elsewhere."""
    if backend.name == "sdpa":
        return PlainOps()
    from engine_bridge.torch_engine.fused import FusedOps

    return FusedOps()
