"""Drives a runner by hand: sequences with pages of their choice, and steps of any mix."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from engine_bridge.torch_engine.attention import choose_backend
from engine_bridge.torch_engine.batch import DeviceBatch, StepBatch, make_batch, to_device
from engine_bridge.torch_engine.cache import KVCache
from engine_bridge.torch_engine.model import Model
from engine_bridge.torch_engine.runner import Runner, RunnerSettings
from engine_bridge.torch_engine.shape import ModelShape
from engine_bridge.torch_engine.weights import Weights, named_tensors, random_weights
from tests.engine_bridge.torch_engine.reference import reference_logits

BLOCK = 16
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

DENSE = ModelShape(
    name="dense", layers=3, hidden=48, heads=6, kv_heads=2, head_dim=16, intermediate=80, vocab=97, qkv_bias=True,
    max_position=512, tied=True,
)  # fmt: skip
"""Three heads to a KV head, none of whose numbers is a power of 2; biases as in Qwen2."""
EXPERTS = ModelShape(
    name="experts", layers=3, hidden=32, heads=4, kv_heads=2, head_dim=24, intermediate=40, vocab=97, qk_norm=True,
    max_position=512, experts=6, experts_per_token=2, family="qwen3_moe",
)  # fmt: skip
"""head_dim no power of 2; norms as in Qwen3."""
SHAPES = {shape.name: shape for shape in (DENSE, EXPERTS)}


@dataclass
class Sequence:
    """All its tokens, as far as they are known; the blocks of its KV; tokens computed."""

    tokens: list[int]
    blocks: list[int]
    computed: int = 0


@dataclass
class Toy:
    """A runner and the logits of its last step."""

    shape: ModelShape
    attention: str = "sdpa"
    dtype: torch.dtype = torch.float32
    blocks: int = 64
    weights: Weights = field(init=False)
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.weights = random_weights(self.shape, seed=3, dtype=self.dtype, device=DEVICE)
        for name, tensor in named_tensors(self.weights):
            if "norm" in name:  # all ones would hide that one is forgotten
                tensor.copy_(torch.linspace(0.5, 1.5, len(tensor)))
        model = Model(self.weights, choose_backend(DEVICE, self.attention))
        cache = KVCache(self.shape, blocks=self.blocks, block_size=BLOCK, dtype=self.dtype, device=DEVICE)
        self.runner = Runner(model, cache, RunnerSettings(graphs=False))

    def batch(self, work: list[tuple[Sequence, int]], wanted: list[bool] | None = None) -> StepBatch:
        """The next so many tokens of each sequence, which count as computed from now on."""
        tables = np.full((len(work), 32), self.blocks, dtype=np.int32)
        for row, (sequence, _) in enumerate(work):
            tables[row, : len(sequence.blocks)] = sequence.blocks
        batch = make_batch(
            token_ids=np.concatenate([each.tokens[each.computed : each.computed + count] for each, count in work]),
            counts=np.array([count for _, count in work]),
            computed=np.array([each.computed for each, _ in work]),
            block_tables=tables,
            block_size=BLOCK,
            wanted=None if wanted is None else np.array(wanted),
        )
        for sequence, count in work:
            sequence.computed += count
        return batch

    @torch.inference_mode()
    def logits(self, work: list[tuple[Sequence, int]]) -> torch.Tensor:
        """Run a step; logits after the last token of each sequence, shape (S, vocab)."""
        there: DeviceBatch = to_device(self.batch(work), DEVICE)
        return self.runner.model.forward(there, self.runner.cache).double().cpu()

    def expected(self, sequence: Sequence) -> torch.Tensor:
        """What the reference says after the tokens computed, shape (vocab,)."""
        return reference_logits(self.shape, dict(named_tensors(self.weights)), sequence.tokens[: sequence.computed])[-1]

    def check(self, work: list[tuple[Sequence, int]], tolerance: float = 1e-4) -> None:
        """Run a step and compare with the reference."""
        logits = self.logits(work)
        for row, (sequence, _) in zip(logits, work, strict=True):
            torch.testing.assert_close(row, self.expected(sequence), atol=tolerance, rtol=tolerance)


def make_tokens(seed: int, count: int) -> list[int]:
    """Random tokens."""
    return [int(token) for token in np.random.default_rng(seed).integers(0, 97, count)]
