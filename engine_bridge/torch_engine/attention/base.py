"""The seam of attention, and which back-end is behind it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import torch

from engine_bridge.torch_engine.batch import DeviceBatch
from engine_bridge.torch_engine.errors import EngineError

BACKENDS = ("sdpa", "triton", "varlen")


class AttentionBackend(Protocol):
    """Attention of packed queries to the paged cache."""

    name: str
    graphs: bool
    """Whether decodes can be recorded in a CUDA graph: nothing in them depends on numbers that the host reads."""

    def attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, batch: DeviceBatch
    ) -> torch.Tensor:
        """Each token's queries to the keys of its sequence up to its own place, which are all in the cache.

        softmax(q · k / √head_dim) · v; query head h reads KV head h // (heads / kv_heads).

        Args:
            queries: shape (T, heads, head_dim).
            keys: of one layer, shape (blocks, block_size, kv_heads, head_dim); values likewise.

        Returns:
            Shape (T, heads, head_dim), in the type of the queries.
        """


def choose_backend(device: torch.device, name: str | None = None) -> AttentionBackend:
    """The back-end called `name`, by default the fastest for the device.

    Raises:
        EngineError: there is no such back-end, or it cannot run here.
    """
    if name is None:
        name = "triton" if device.type == "cuda" and find_spec("triton") else "sdpa"
    if name == "sdpa":
        from engine_bridge.torch_engine.attention.sdpa import SdpaAttention

        return SdpaAttention()
    if name == "triton":
        if not find_spec("triton"):
            raise EngineError("attention back-end 'triton' needs the package triton; install it, or choose 'sdpa'")
        from engine_bridge.torch_engine.attention.triton_paged import TritonAttention

        return TritonAttention()
    if name == "varlen":
        from engine_bridge.torch_engine.attention.varlen import VarlenAttention

        return VarlenAttention(device)
    raise EngineError(f"no attention back-end {name!r}; choose one of {', '.join(BACKENDS)}")
