"""`Ops` as Triton kernels: one launch and one pass over memory each, where plain torch needs several."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr, tensor

from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.kernels import kernel
from engine_bridge.torch_engine.shape import ModelShape
from engine_bridge.torch_engine.weights import LayerWeights

HEADS = 8
"""Heads that one program of `_rotate_and_store` works on."""
COLUMNS = 1024
"""Numbers that one program of `_silu_mul` works on."""


class FusedOps:
    """See `Ops`."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """See `Ops`."""
        result = torch.empty_like(x)
        self._norm(x, x, weight, result, eps, add=False)
        return result

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """See `Ops`; `residual` is written over."""
        result = torch.empty_like(x)
        self._norm(x, residual, weight, result, eps, add=True)
        return result, residual

    def _norm(self, x: Tensor, residual: Tensor, weight: Tensor, result: Tensor, eps: float, *, add: bool) -> None:
        rows, columns = x.shape
        if rows:
            block = triton.next_power_of_2(columns)
            warps = min(max(block // 512, 1), 16)
            _norm_rows[(rows,)](x, residual, weight, result, eps, columns, add, block, num_warps=warps)

    def rotate_and_store(
        self, qkv: Tensor, shape: ModelShape, layer: LayerWeights, rope: Tensor, batch: DeviceBatch,
        keys: Tensor, values: Tensor,
    ) -> Tensor:  # fmt: skip
        """See `Ops`; the queries are a view of `qkv`."""
        rotated = shape.heads + shape.kv_heads
        half = shape.head_dim // 2
        query_norm, key_norm = (rope if each is None else each for each in (layer.query_norm, layer.key_norm))
        _rotate_and_store[(len(qkv), triton.cdiv(rotated, HEADS))](
            qkv, rope, query_norm, key_norm, batch.positions, batch.slots, keys, values, shape.norm_eps,
            shape.heads, shape.kv_heads, half, layer.query_norm is not None, HEADS, triton.next_power_of_2(half),
            num_warps=1,
        )  # fmt: skip
        return qkv.view(len(qkv), -1, shape.head_dim)[:, : shape.heads]

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """See `Ops`."""
        rows, columns = len(gate_up), gate_up.shape[1] // 2
        result = gate_up.new_empty(rows, columns)
        if rows:
            _silu_mul[(rows, triton.cdiv(columns, COLUMNS))](gate_up, result, columns, COLUMNS, num_warps=4)
        return result


@kernel()
def _norm_rows(
    x: tensor, residual: tensor, weight: tensor, result: tensor, eps: tensor,
    columns: constexpr, add: constexpr, block: constexpr,
) -> None:  # fmt: skip
    """One row: result = norm(x) or, with `add`, residual += x and result = norm(residual)."""
    column = tl.arange(0, block)
    inside = column < columns
    at = tl.program_id(0).to(tl.int64) * columns + column
    row = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if add:
        # Rounded as it is stored, so that the norm is that of what later layers see.
        total = (row + tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)).to(residual.dtype.element_ty)
        tl.store(residual + at, total, mask=inside)
        row = total.to(tl.float32)
    scale = tl.rsqrt(tl.sum(row * row, axis=0) / columns + eps)
    normed = row * scale * tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(result + at, normed.to(result.dtype.element_ty), mask=inside)


@kernel()
def _rotate_and_store(
    qkv: tensor, rope: tensor, query_norm: tensor, key_norm: tensor, positions: tensor, slots: tensor, keys: tensor,
    values: tensor, eps: tensor,
    heads: constexpr, kv_heads: constexpr, half: constexpr, norm: constexpr,
    head_block: constexpr, half_block: constexpr,
) -> None:  # fmt: skip
    """Some heads of one token, queries first, then keys, each with the value of the same head."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * head_block + tl.arange(0, head_block)
    column = tl.arange(0, half_block)
    is_key = (head >= heads) & (head < heads + kv_heads)
    inside = column[None, :] < half
    rotated = (head < heads + kv_heads)[:, None] & inside
    stored = is_key[:, None] & inside
    row = qkv + token * ((heads + 2 * kv_heads) * 2 * half)
    at = head[:, None] * (2 * half) + column[None, :]
    first = tl.load(row + at, mask=rotated, other=0.0).to(tl.float32)
    second = tl.load(row + at + half, mask=rotated, other=0.0).to(tl.float32)
    if norm:
        mean = (tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)) / (2 * half)
        scale = tl.rsqrt(mean + eps)[:, None]
        here = column < half
        low = tl.where(
            is_key[:, None],
            tl.load(key_norm + column, mask=here, other=0.0).to(tl.float32)[None, :],
            tl.load(query_norm + column, mask=here, other=0.0).to(tl.float32)[None, :],
        )
        high = tl.where(
            is_key[:, None],
            tl.load(key_norm + half + column, mask=here, other=0.0).to(tl.float32)[None, :],
            tl.load(query_norm + half + column, mask=here, other=0.0).to(tl.float32)[None, :],
        )
        first = first * scale * low
        second = second * scale * high
    angle = rope + tl.load(positions + token).to(tl.int64) * (2 * half) + column
    cos = tl.load(angle, mask=column < half, other=0.0)[None, :]
    sin = tl.load(angle + half, mask=column < half, other=0.0)[None, :]
    kind = qkv.dtype.element_ty
    turned_first = (first * cos - second * sin).to(kind)
    turned_second = (second * cos + first * sin).to(kind)
    is_query = (head < heads)[:, None] & inside
    tl.store(row + at, turned_first, mask=is_query)
    tl.store(row + at + half, turned_second, mask=is_query)
    slot = tl.load(slots + token).to(tl.int64) * (kv_heads * 2 * half)
    place = slot + (head - heads)[:, None] * (2 * half) + column[None, :]
    tl.store(keys + place, turned_first, mask=stored)
    tl.store(keys + place + half, turned_second, mask=stored)
    value = row + at + kv_heads * 2 * half
    tl.store(values + place, tl.load(value, mask=stored, other=0.0), mask=stored)
    tl.store(values + place + half, tl.load(value + half, mask=stored, other=0.0), mask=stored)


@kernel()
def _silu_mul(gate_up: tensor, result: tensor, columns: constexpr, block: constexpr) -> None:
    """Some columns of one row."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < columns
    gate = tl.load(gate_up + row * (2 * columns) + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * (2 * columns) + columns + column, mask=inside, other=0.0).to(tl.float32)
    # Rounded in between, as torch does.
    product = (gate * tl.sigmoid(gate)).to(result.dtype.element_ty).to(tl.float32) * up
    tl.store(result + row * columns + column, product.to(result.dtype.element_ty), mask=inside)
