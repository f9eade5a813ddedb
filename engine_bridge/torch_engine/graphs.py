"""Decode steps recorded as CUDA graphs: one launch instead of some three hundred, for a few sizes of batches."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import torch
from torch import Tensor

from engine_bridge.torch_engine.batch import DeviceBatch, StepBatch
from engine_bridge.torch_engine.cache import KVCache
from engine_bridge.torch_engine.model import Model


def bucket_sizes(most: int) -> list[int]:
    """The sizes recorded: a batch of another size is padded to the next one, by at most 16 sequences; ascending."""
    sizes = {1, 2, 4, *range(8, 64, 8), *range(64, most, 16), most}
    return sorted(size for size in sizes if size <= most)


class DecodeBuffers:
    """Memory at fixed addresses for the batches of decodes that graphs read, filled from the host in two copies.

    Rows that pad a batch are sequences of one token in the block that belongs to nobody.
    """

    def __init__(self, most: int, cache: KVCache, width: int, device: torch.device) -> None:
        self.most, self.width = most, width
        self._block_size, self._spare_block, self._spare_slot = cache.block_size, cache.blocks, cache.spare_slot
        pinned = device.type == "cuda"
        self._vectors_there = torch.zeros((4, most), dtype=torch.int32, device=device)
        self._tables_there = torch.zeros((most, width), dtype=torch.int32, device=device)
        self._vectors_here = torch.zeros((4, most), dtype=torch.int32, pin_memory=pinned)
        self._tables_here = torch.zeros((most, width), dtype=torch.int32, pin_memory=pinned)
        self._vectors, self._tables = self._vectors_here.numpy(), self._tables_here.numpy()
        self._query_starts = torch.arange(most + 1, dtype=torch.int32, device=device)

    def holds(self, batch: StepBatch) -> bool:
        """Whether a batch is of the kind that was recorded: decodes, all of which want a token."""
        few = 0 < batch.sequences == batch.decodes <= self.most
        return few and batch.block_tables.shape[1] <= self.width and bool(batch.wanted.all())

    def fill(self, batch: StepBatch, size: int) -> None:
        """Bring a batch to the device, padded to `size`; the last one must have been waited for."""
        n, columns = batch.sequences, batch.block_tables.shape[1]
        rows = (batch.token_ids, batch.positions, batch.slots, batch.context_lens)
        for row, values, padding in zip(self._vectors, rows, (0, 0, self._spare_slot, 1), strict=True):
            row[:n] = values
            row[n:size] = padding
        self._tables[:n, :columns] = batch.block_tables
        self._tables[n:size, 0] = self._spare_block
        self._vectors_there.copy_(self._vectors_here, non_blocking=True)
        self._tables_there[:size].copy_(self._tables_here[:size], non_blocking=True)

    def view(self, size: int) -> DeviceBatch:
        """The first `size` rows as a batch; its contents change with each `fill`."""
        token_ids, positions, slots, contexts = self._vectors_there[:, :size]
        return DeviceBatch(
            token_ids=token_ids,
            positions=positions,
            slots=slots,
            query_starts=self._query_starts[: size + 1],
            context_lens=contexts,
            block_tables=self._tables_there[:size],
            last=self._query_starts[:size],
            decodes=size,
            longest_query=0,
            longest_context=self.width * self._block_size,
            host=StepBatch(
                token_ids=self._vectors[0, :size],
                positions=self._vectors[1, :size],
                slots=self._vectors[2, :size],
                query_starts=np.arange(size + 1, dtype=np.int32),
                context_lens=self._vectors[3, :size],
                block_tables=self._tables[:size],
                wanted=np.ones(size, dtype=np.bool_),
                decodes=size,
                block_size=self._block_size,
            ),
        )


class DecodeGraphs:
    """The graphs of a model on a cache, for up to `most` sequences; recorded when this is made."""

    def __init__(self, model: Model, cache: KVCache, most: int) -> None:
        device = model.weights.device
        width = min(cache.blocks, -(-model.shape.max_position // cache.block_size))
        self._buffers = DecodeBuffers(most, cache, width, device)
        self._sizes = bucket_sizes(most)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        nothing = _padding(cache, 1)
        pool = None
        for size in reversed(self._sizes):  # the largest first: the others find room in its memory
            self._buffers.fill(nothing, size)
            view = self._buffers.view(size)
            side: torch.cuda.Stream = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                model.forward(view, cache)  # compiles kernels and makes workspaces, which cannot be recorded
            torch.cuda.current_stream(device).wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                logits = model.forward(view, cache)
            pool = graph.pool()
            self._graphs[size] = graph, logits
        torch.cuda.synchronize(device)

    def holds(self, batch: StepBatch) -> bool:
        """Whether `run` can do this batch."""
        return self._buffers.holds(batch)

    def run(self, batch: StepBatch) -> Tensor:
        """Logits of a batch of decodes, shape (S, vocab), valid until the next run."""
        size = self._sizes[bisect_left(self._sizes, batch.sequences)]
        self._buffers.fill(batch, size)
        graph, logits = self._graphs[size]
        graph.replay()
        return logits[: batch.sequences]


def _padding(cache: KVCache, sequences: int) -> StepBatch:
    """Sequences of one token in the block that belongs to nobody."""
    zeros = np.zeros(sequences, dtype=np.int32)
    return StepBatch(
        token_ids=zeros,
        positions=zeros,
        slots=zeros + cache.spare_slot,
        query_starts=np.arange(sequences + 1, dtype=np.int32),
        context_lens=zeros + 1,
        block_tables=zeros[:, None] + cache.blocks,
        wanted=np.ones(sequences, dtype=np.bool_),
        decodes=sequences,
        block_size=cache.block_size,
    )
