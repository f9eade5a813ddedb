"""Attention by `torch.nn.attention.varlen.varlen_attn` with a block table: FlashAttention on pages, torch ≥ 2.13, CUDA.

The FlashAttention 2 that comes with torch wants pages of a multiple of 256 tokens.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.errors import EngineError

PAGE = 256
"""Tokens that a page must be a multiple of."""


class VarlenAttention:
    """See `AttentionBackend`."""

    name = "varlen"
    graphs = False

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise EngineError(f"attention back-end 'varlen' needs a GPU, not {device}; choose 'sdpa'")
        varlen = import_module("torch.nn.attention.varlen")
        self._attend: Any = varlen.varlen_attn
        if "block_table" not in inspect.signature(self._attend).parameters:
            raise EngineError(
                f"attention back-end 'varlen' needs torch 2.13 or newer, not {torch.__version__}; choose 'triton'"
            )

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, batch: DeviceBatch) -> Tensor:
        """See `AttentionBackend`.

        Raises:
            EngineError: the cache has pages that FlashAttention cannot read.
        """
        if keys.shape[1] % PAGE:
            raise EngineError(
                f"attention back-end 'varlen' needs KV blocks of a multiple of {PAGE} tokens, not {keys.shape[1]}; "
                "choose another block size, or 'triton'"
            )
        attended: Tensor = self._attend(
            queries,
            keys,
            values,
            batch.query_starts,
            None,
            max(batch.longest_query, 1),
            batch.longest_context,
            window_size=(-1, 0),
            enable_gqa=keys.shape[2] != queries.shape[1],
            seqused_k=batch.context_lens,
            block_table=batch.block_tables,
        )
        return attended
