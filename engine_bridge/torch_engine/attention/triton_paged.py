"""Attention by Triton kernels that read keys and values where they lie, page by page.

Decodes: flash-decoding (Dao et al. 2023): the KV of a sequence is split among programs, each of which computes the
query heads that share a KV head in one tile, and a second kernel puts the parts together. Prefill: FlashAttention-2
(Dao 2023, alg. 1), one program for a tile of queries of one head. Softmax is computed in base 2.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr, tensor

from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.kernels import kernel

PROGRAMS = 2048
"""Programs of a decode step aimed at: several for each place on a large GPU, so that long sequences do not hold up the
step; measured on none yet."""
MOST_SPLITS = 32
NARROWEST = 16
"""Rows and columns that `tl.dot` needs at least."""


class TritonAttention:
    """See `AttentionBackend`."""

    name = "triton"
    graphs = True

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, batch: DeviceBatch) -> Tensor:
        """See `AttentionBackend`."""
        result = torch.empty(queries.shape, dtype=queries.dtype, device=queries.device)
        if batch.decodes:
            decode(queries[: batch.decodes], keys, values, batch, result)
        if batch.sequences > batch.decodes:
            prefill(queries, keys, values, batch, result)
        return result


def splits_of(sequences: int, kv_heads: int) -> int:
    """Among how many programs the KV of each sequence is split: a power of 2.

    It depends on the number of sequences alone, not on their lengths, which a recorded graph does not know.
    """
    wanted = PROGRAMS // (sequences * kv_heads)
    return max(1, min(MOST_SPLITS, 1 << max(wanted, 1).bit_length() - 1))


def decode(queries: Tensor, keys: Tensor, values: Tensor, batch: DeviceBatch, result: Tensor) -> None:
    """One query for each of the first sequences; queries and result (n, heads, head_dim)."""
    n, heads, head_dim = queries.shape
    block_size, kv_heads = keys.shape[1:3]
    group = heads // kv_heads
    splits = splits_of(n, kv_heads)
    width = max(triton.next_power_of_2(head_dim), NARROWEST)
    parts, weights = result, result
    if splits > 1:
        parts = torch.empty(n, heads, splits, head_dim, dtype=torch.float32, device=queries.device)
        weights = torch.empty(n, heads, splits, dtype=torch.float32, device=queries.device)
    _decode[(n, kv_heads, splits)](
        queries, keys, values, parts, weights, batch.block_tables, batch.context_lens,
        head_dim**-0.5 / math.log(2), queries.stride(0), batch.block_tables.stride(0), kv_heads, group, head_dim,
        block_size, splits, max(triton.next_power_of_2(group), NARROWEST), width, 64 if width <= 128 else 32,
        num_warps=4, num_stages=3 if queries.element_size() < 4 else 2,
    )  # fmt: skip
    if splits > 1:
        _combine[(n, heads)](parts, weights, result, heads, head_dim, splits, width, num_warps=2)


def prefill(queries: Tensor, keys: Tensor, values: Tensor, batch: DeviceBatch, result: Tensor) -> None:
    """The tokens of all sequences that are no decodes; queries and result (T, heads, head_dim)."""
    _, heads, head_dim = queries.shape
    block_size, kv_heads = keys.shape[1:3]
    width = max(triton.next_power_of_2(head_dim), NARROWEST)
    small = queries.element_size() == 4 or width > 128
    rows, columns = (32, 32) if small else (128, 64)
    grid = (triton.cdiv(batch.longest_query, rows), heads, batch.sequences - batch.decodes)
    _prefill[grid](
        queries, keys, values, result, batch.query_starts, batch.block_tables, batch.context_lens,
        head_dim**-0.5 / math.log(2), batch.decodes, queries.stride(0), batch.block_tables.stride(0), heads, kv_heads,
        head_dim, block_size, rows, columns, width, num_warps=4 if small else 8, num_stages=2,
    )  # fmt: skip


@kernel(varying=["query_stride", "table_stride"])
def _decode(
    queries: tensor, keys: tensor, values: tensor, parts: tensor, weights: tensor, tables: tensor, contexts: tensor,
    scale: tensor, query_stride: tensor, table_stride: tensor,
    kv_heads: constexpr, group: constexpr, head_dim: constexpr, block_size: constexpr,
    splits: constexpr, rows: constexpr, width: constexpr, columns: constexpr,
) -> None:  # fmt: skip
    """The query heads of one KV head of one sequence to one part of its KV."""
    sequence = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    context = tl.load(contexts + sequence)
    share = tl.cdiv(tl.cdiv(context, splits), columns) * columns
    begin = split * share
    end = tl.minimum(begin + share, context)
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    in_group = row[:, None] < group
    in_head = column[None, :] < head_dim
    head = kv_head * group + row
    query_at = sequence * query_stride + head[:, None] * head_dim + column[None, :]
    query = tl.load(queries + query_at, mask=in_group & in_head, other=0.0)
    largest = tl.full([rows], float("-inf"), dtype=tl.float32)
    total = tl.zeros([rows], dtype=tl.float32)
    sums = tl.zeros([rows, width], dtype=tl.float32)
    table = tables + sequence * table_stride
    for start in range(begin, end, columns):
        place = start + tl.arange(0, columns)
        there = place < end
        block = tl.load(table + place // block_size, mask=there, other=0).to(tl.int64)
        slot = block * block_size + place % block_size
        at = (slot * kv_heads + kv_head)[:, None] * head_dim + column[None, :]
        key = tl.load(keys + at, mask=there[:, None] & in_head, other=0.0)
        scores = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
        scores = tl.where(there[None, :], scores, float("-inf"))
        # The loop starts only if its part is not empty, so every tile has a key and no maximum stays −∞.
        newest = tl.maximum(largest, tl.max(scores, axis=1))
        faded = tl.exp2(largest - newest)
        shares = tl.exp2(scores - newest[:, None])
        value = tl.load(values + at, mask=there[:, None] & in_head, other=0.0)
        sums = sums * faded[:, None] + tl.dot(shares.to(value.dtype), value, input_precision="ieee")
        total = total * faded + tl.sum(shares, axis=1)
        largest = newest
    # An empty part has total 0: its sums stay 0 and its weight is −∞.
    sums = sums / tl.where(total > 0.0, total, 1.0)[:, None]
    if splits == 1:
        out = (sequence * kv_heads * group + head)[:, None] * head_dim + column[None, :]
        tl.store(parts + out, sums.to(parts.dtype.element_ty), mask=in_group & in_head)
    else:
        part = (sequence * kv_heads * group + head) * splits + split
        tl.store(parts + part[:, None] * head_dim + column[None, :], sums, mask=in_group & in_head)
        weight = tl.where(total > 0.0, largest + tl.log2(tl.where(total > 0.0, total, 1.0)), float("-inf"))
        tl.store(weights + part, weight, mask=row < group)


@kernel()
def _combine(
    parts: tensor, weights: tensor, result: tensor,
    heads: constexpr, head_dim: constexpr, splits: constexpr, width: constexpr,
) -> None:  # fmt: skip
    """The parts of one head of one sequence, each weighted by its share of the whole softmax."""
    row = tl.program_id(0).to(tl.int64) * heads + tl.program_id(1)
    split = tl.arange(0, splits)
    column = tl.arange(0, width)
    in_head = column < head_dim
    weight = tl.load(weights + row * splits + split)
    largest = tl.max(weight, axis=0)
    share = tl.exp2(weight - tl.where(largest > float("-inf"), largest, 0.0))
    at = (row * splits + split)[:, None] * head_dim + column[None, :]
    part = tl.load(parts + at, mask=in_head[None, :], other=0.0)
    total = tl.sum(share, axis=0)
    sums = tl.sum(part * share[:, None], axis=0) / tl.where(total > 0.0, total, 1.0)
    tl.store(result + row * head_dim + column, sums.to(result.dtype.element_ty), mask=in_head)


@kernel(varying=["first", "query_stride", "table_stride"])
def _prefill(
    queries: tensor, keys: tensor, values: tensor, result: tensor, starts: tensor, tables: tensor, contexts: tensor,
    scale: tensor, first: tensor, query_stride: tensor, table_stride: tensor,
    heads: constexpr, kv_heads: constexpr, head_dim: constexpr, block_size: constexpr,
    rows: constexpr, columns: constexpr, width: constexpr,
) -> None:  # fmt: skip
    """A tile of queries of one head of one sequence to the keys up to each one's own place."""
    sequence = first + tl.program_id(2).to(tl.int64)
    head = tl.program_id(1)
    start = tl.load(starts + sequence)
    length = tl.load(starts + sequence + 1) - start
    tile = tl.program_id(0) * rows
    if tile < length:
        context = tl.load(contexts + sequence)
        row = tile + tl.arange(0, rows)
        column = tl.arange(0, width)
        in_head = column[None, :] < head_dim
        in_tile = (row < length)[:, None] & in_head
        position = context - length + row
        end = tl.minimum(context, context - length + tile + rows)
        token = (start + row).to(tl.int64)[:, None]
        query = tl.load(queries + token * query_stride + head * head_dim + column[None, :], mask=in_tile, other=0.0)
        largest = tl.full([rows], float("-inf"), dtype=tl.float32)
        total = tl.zeros([rows], dtype=tl.float32)
        sums = tl.zeros([rows, width], dtype=tl.float32)
        table = tables + sequence * table_stride
        kv_head = head // (heads // kv_heads)
        for begin in range(0, end, columns):
            place = begin + tl.arange(0, columns)
            there = place < end
            block = tl.load(table + place // block_size, mask=there, other=0).to(tl.int64)
            slot = block * block_size + place % block_size
            at = (slot * kv_heads + kv_head)[:, None] * head_dim + column[None, :]
            key = tl.load(keys + at, mask=there[:, None] & in_head, other=0.0)
            scores = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
            # Every row sees key 0, in the first tile, so no maximum stays −∞.
            scores = tl.where(place[None, :] <= position[:, None], scores, float("-inf"))
            newest = tl.maximum(largest, tl.max(scores, axis=1))
            faded = tl.exp2(largest - newest)
            shares = tl.exp2(scores - newest[:, None])
            value = tl.load(values + at, mask=there[:, None] & in_head, other=0.0)
            sums = sums * faded[:, None] + tl.dot(shares.to(value.dtype), value, input_precision="ieee")
            total = total * faded + tl.sum(shares, axis=1)
            largest = newest
        out = (token * heads + head) * head_dim + column[None, :]
        tl.store(result + out, (sums / total[:, None]).to(result.dtype.element_ty), mask=in_tile)
