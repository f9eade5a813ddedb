"""Attention over the paged KV cache, behind one seam."""

from engine_bridge.torch_engine.attention.base import AttentionBackend, choose_backend

__all__ = ["AttentionBackend", "choose_backend"]
