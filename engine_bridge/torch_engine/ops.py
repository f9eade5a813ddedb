"""What a layer does between its matrix products, as one seam: plain torch here, fused CUDA kernels in `fused`."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.shape import ModelShape
from engine_bridge.torch_engine.weights import LayerWeights


class Ops(Protocol):
    """The parts of a layer that read and write memory rather than compute."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """RMS norm of each row (Zhang & Sennrich 2019, eq. 4): x / √(mean x² + eps) · weight; shape (T, n)."""

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The norm of x + residual, and the sum, which may be `residual` itself, written over; shape (T, n) each."""

    def rotate_and_store(
        self, qkv: Tensor, shape: ModelShape, layer: LayerWeights, rope: Tensor, batch: DeviceBatch,
        keys: Tensor, values: Tensor,
    ) -> Tensor:  # fmt: skip
        """Norm (if the model has it) and rotate queries and keys, and put keys and values into the cache.

        Args:
            qkv: shape (T, (heads + 2 kv_heads) · head_dim); may be written over.
            rope: what `rope_table` made.
            keys: those of the layer in the cache, shape (blocks, block_size, kv_heads, head_dim); values likewise.

        Returns:
            The queries, shape (T, heads, head_dim).
        """

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """silu(gate) · up of rows that hold gate and up one after the other; shape (T, 2n) → (T, n)."""


def rope_table(shape: ModelShape, device: torch.device) -> Tensor:
    """Cosines, then sines, of position · theta^(−2i / head_dim); shape (max_position, head_dim), float32.

    The angles of rotary positions (Su et al. 2021, sec. 3.2.2), computed in float64.
    """
    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float64, device=device) / shape.head_dim
    positions = torch.arange(shape.max_position, dtype=torch.float64, device=device)
    angles = torch.outer(positions, shape.rope_theta**-exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


class PlainOps:
    """`Ops` in plain torch, for every device and type; sums are done in float32."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """See `Ops`."""
        return functional.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(x.dtype)

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """See `Ops`."""
        total = x + residual
        return self.norm(total, weight, eps), total

    def rotate_and_store(
        self, qkv: Tensor, shape: ModelShape, layer: LayerWeights, rope: Tensor, batch: DeviceBatch,
        keys: Tensor, values: Tensor,
    ) -> Tensor:  # fmt: skip
        """See `Ops`."""
        rows = qkv.view(len(qkv), -1, shape.head_dim)
        q, k, v = torch.split(rows, [shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        if layer.query_norm is not None and layer.key_norm is not None:
            q, k = self.norm(q, layer.query_norm, shape.norm_eps), self.norm(k, layer.key_norm, shape.norm_eps)
        cos, sin = rope.index_select(0, batch.positions).unsqueeze(1).chunk(2, dim=-1)
        slots = batch.slots.long()
        keys.flatten(0, 1).index_copy_(0, slots, _rotate(k, cos, sin))
        values.flatten(0, 1).index_copy_(0, slots, v)
        return _rotate(q, cos, sin)

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """See `Ops`."""
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.silu(gate) * up


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + head_dim / 2) of x, (T, heads, head_dim), by its angle; cos, sin (T, 1, head_dim / 2)."""
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
