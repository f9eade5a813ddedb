"""What one forward pass gets: the tokens of a step, packed one sequence after the other, and where their KV lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]

ALIGNMENT = 4
"""Each array starts at a multiple of so many int32 in the buffer: Triton compiles once more for pointers that are no
multiple of 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """A step on the host; int32 arrays. T tokens of S sequences, decodes first.

    token_ids, positions, shape (T,): the tokens to compute and their places in their sequences. slots, shape (T,):
    where the KV of each goes, block · block_size + offset. query_starts, shape (S + 1,): where the tokens of each
    sequence start. context_lens, shape (S,): tokens of each whose KV is there after this step. block_tables, shape
    (S, B): physical blocks of each sequence; what lies behind its last one is ignored but must be a block. wanted,
    bool, shape (S,): whether a token is to be sampled after the sequence's last. The first `decodes` sequences have
    one token each.
    """

    token_ids: Array
    positions: Array
    slots: Array
    query_starts: Array
    context_lens: Array
    block_tables: Array
    wanted: Array
    decodes: int
    block_size: int

    @property
    def tokens(self) -> int:
        """T: how many tokens are computed."""
        return len(self.token_ids)

    @property
    def sequences(self) -> int:
        """S: how many sequences take part."""
        return len(self.context_lens)

    @property
    def counts(self) -> Array:
        """Tokens of each sequence, shape (S,)."""
        return np.diff(self.query_starts)


def make_batch(
    *,
    token_ids: Array,
    counts: Array,
    computed: Array,
    block_tables: Array,
    block_size: int,
    wanted: Array | None = None,
) -> StepBatch:
    """Pack a step from the scheduler's arrays; S sequences, those with one token that counts as a decode first.

    Args:
        token_ids: the tokens to compute, one sequence after the other, shape (T,).
        counts: how many of each sequence, ≥ 1, shape (S,).
        computed: tokens of each sequence whose KV is in the cache already, shape (S,).
        block_tables: physical blocks of each sequence, shape (S, ≥ the longest needs).
        wanted: whether to sample after the last token of each, bool, shape (S,); by default all.
    """
    counts = np.asarray(counts, dtype=np.int32)
    computed = np.asarray(computed, dtype=np.int32)
    starts = np.zeros(len(counts) + 1, dtype=np.int32)
    np.cumsum(counts, out=starts[1:])
    context = computed + counts
    width = -(-int(context.max(initial=1)) // block_size)
    tables = np.ascontiguousarray(block_tables[:, :width], dtype=np.int32)
    prefills = np.flatnonzero(counts != 1)
    decodes = int(prefills[0]) if len(prefills) else len(counts)
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    positions = np.arange(starts[-1], dtype=np.int32) + (computed - starts[:-1])[rows]
    slots = tables[rows, positions // block_size] * np.int32(block_size) + positions % block_size
    return StepBatch(
        token_ids=np.asarray(token_ids, dtype=np.int32),
        positions=positions,
        slots=slots,
        query_starts=starts,
        context_lens=context,
        block_tables=tables,
        wanted=np.ones(len(counts), dtype=np.bool_) if wanted is None else np.asarray(wanted, dtype=np.bool_),
        decodes=decodes,
        block_size=block_size,
    )


def merge(decodes: StepBatch, others: StepBatch) -> StepBatch:
    """One batch of two, the sequences of the first, which are all decodes, in front."""
    width = max(decodes.block_tables.shape[1], others.block_tables.shape[1])
    tables = [
        np.pad(each.block_tables, ((0, 0), (0, width - each.block_tables.shape[1]))) for each in (decodes, others)
    ]
    return StepBatch(
        token_ids=np.concatenate([decodes.token_ids, others.token_ids]),
        positions=np.concatenate([decodes.positions, others.positions]),
        slots=np.concatenate([decodes.slots, others.slots]),
        query_starts=np.concatenate([decodes.query_starts, others.query_starts[1:] + decodes.query_starts[-1]]),
        context_lens=np.concatenate([decodes.context_lens, others.context_lens]),
        block_tables=np.concatenate(tables),
        wanted=np.concatenate([decodes.wanted, others.wanted]),
        decodes=decodes.decodes + others.decodes,
        block_size=decodes.block_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBatch:
    """A step where the model runs: the tensors of `StepBatch`, int32, and what the host needs to know of them.

    last, shape (number wanted,): index of the last token of each sequence that is sampled. longest_query: most
    tokens of a sequence that is no decode, 0 without any. longest_context: most tokens of KV of a sequence.
    """

    token_ids: torch.Tensor
    positions: torch.Tensor
    slots: torch.Tensor
    query_starts: torch.Tensor
    context_lens: torch.Tensor
    block_tables: torch.Tensor
    last: torch.Tensor
    decodes: int
    longest_query: int
    longest_context: int
    host: StepBatch

    @property
    def tokens(self) -> int:
        """T: how many tokens are computed."""
        return int(self.token_ids.shape[0])

    @property
    def sequences(self) -> int:
        """S: how many sequences take part."""
        return int(self.context_lens.shape[0])


def to_device(batch: StepBatch, device: torch.device) -> DeviceBatch:
    """Bring a step to the device in one copy."""
    last = (batch.query_starts[1:] - 1)[batch.wanted]
    arrays = (
        batch.token_ids, batch.positions, batch.slots, batch.query_starts, batch.context_lens, last,
        batch.block_tables,
    )  # fmt: skip
    starts = [0]
    for array in arrays:
        starts.append(starts[-1] + -(-array.size // ALIGNMENT) * ALIGNMENT)
    buffer = torch.empty(starts[-1], dtype=torch.int32, pin_memory=device.type == "cuda")
    packed = buffer.numpy()
    for start, array in zip(starts[:-1], arrays, strict=True):
        packed[start : start + array.size] = array.reshape(-1)
    there = buffer.to(device, non_blocking=True)
    views = [there[start : start + array.size] for start, array in zip(starts[:-1], arrays, strict=True)]
    return DeviceBatch(
        token_ids=views[0],
        positions=views[1],
        slots=views[2],
        query_starts=views[3],
        context_lens=views[4],
        last=views[5],
        block_tables=views[6].view(batch.block_tables.shape),
        decodes=batch.decodes,
        longest_query=int(batch.counts[batch.decodes :].max(initial=0)),
        longest_context=int(batch.context_lens.max(initial=0)),
        host=batch,
    )
