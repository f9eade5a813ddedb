"""The engine that serves, in vLLM's terms where it has them: the same for the simulator and the embedded engine."""

from __future__ import annotations

from dataclasses import dataclass

from engine_bridge.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The engine, in vLLM's terms where it has them.

    max_running: max_num_seqs. max_tokens: max_num_batched_tokens. block_size: tokens per KV block. blocks: KV blocks
    that requests can use; vLLM's num_gpu_blocks is one more, for its placeholder. prefix_cache:
    enable_prefix_caching. long_prefill: long_prefill_token_threshold, 0 for none. reserve: whether a request is
    admitted only if its whole sequence fits, not just its first chunk (scheduler_reserve_full_isl). watermark: share
    of the blocks that an admission leaves free while others run. window: how many waiting requests a policy sees.
    """

    max_running: int = 256
    max_tokens: int = 2048
    block_size: int = 16
    blocks: int = 27_000
    prefix_cache: bool = True
    long_prefill: int = 0
    reserve: bool = True
    watermark: float = 0.0
    window: int = 256

    def __post_init__(self) -> None:
        for name in ("max_running", "max_tokens", "block_size", "blocks", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"EngineSettings.{name} must be at least 1, not {getattr(self, name)}")
        if self.long_prefill < 0 or not 0 <= self.watermark < 1:
            raise ValueError(
                f"EngineSettings: long_prefill must be ≥ 0 and watermark in [0, 1), not {self.long_prefill}, "
                f"{self.watermark}"
            )


def check_workload(workload: Workload, settings: EngineSettings) -> None:
    """Raise ValueError for a workload that this engine cannot serve to its end."""
    if len(workload.prompt) == 0:
        raise ValueError(f"workload {workload.name} is empty; give it at least one request")
    need = -(-(workload.prompt + workload.output - 1) // settings.block_size)
    if need.max() > settings.blocks:
        raise ValueError(
            f"workload {workload.name}: request {int(need.argmax())} needs {need.max()} KV blocks, more than the "
            f"{settings.blocks} there are; clip the workload or give the engine more blocks"
        )
    if settings.prefix_cache and len(workload.block_ids) and workload.hash_block % settings.block_size:
        raise ValueError(
            f"workload {workload.name}: prefix blocks of {workload.hash_block} tokens are no multiple of the engine's "
            f"block size {settings.block_size}; choose one that divides them"
        )
