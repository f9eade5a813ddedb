"""The paged KV cache: for each layer, blocks of tokens that belong to whichever sequence the scheduler says."""

from __future__ import annotations

import torch

from engine_bridge.torch_engine.errors import EngineError, memory_for
from engine_bridge.torch_engine.shape import ModelShape


class KVCache:
    """Keys and values of all layers; of one layer, shape (blocks + 1, block_size, kv_heads, head_dim) each.

    The last block belongs to nobody: what must not be kept (padding) is written there. It starts as zeros, since
    masked attention multiplies what it does not use by 0, which NaN would survive.
    """

    def __init__(
        self, shape: ModelShape, *, blocks: int, block_size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.blocks = blocks
        self.block_size = block_size
        size = (shape.layers, 2, blocks + 1, block_size, shape.kv_heads, shape.head_dim)
        with memory_for(f"a KV cache of {blocks} blocks", "give fewer blocks, or a smaller model"):
            self._data = torch.zeros(size, dtype=dtype, device=device)

    def keys(self, layer: int) -> torch.Tensor:
        """The keys of a layer."""
        return self._data[layer, 0]

    def values(self, layer: int) -> torch.Tensor:
        """The values of a layer."""
        return self._data[layer, 1]

    @property
    def spare_slot(self) -> int:
        """A slot of the block that belongs to nobody."""
        return self.blocks * self.block_size

    def copy_blocks(self, own: torch.Tensor, other: KVCache, theirs: torch.Tensor) -> None:
        """Take over the content of `theirs`, blocks of another cache, into the blocks `own`; int64, shape (n,)."""
        self._data[:, :, own] = other._data[:, :, theirs].to(self._data.device)


def blocks_that_fit(shape: ModelShape, *, block_size: int, dtype: torch.dtype, share: float = 0.9) -> int:
    """How many blocks the GPU's memory has room for once the weights are there; `share` of all memory may be used.

    Raises:
        EngineError: not even one.
    """
    free, total = torch.cuda.mem_get_info()
    room = free - (1 - share) * total
    blocks = int(room // (shape.kv_bytes_per_token(dtype.itemsize) * block_size)) - 1
    if blocks < 1:
        raise EngineError(
            f"no room for a KV cache: {free / 2**30:.1f} of {total / 2**30:.1f} GiB of GPU memory are free beside "
            f"model {shape.name}; choose a smaller model or end what else uses the GPU"
        )
    return blocks
