"""The same weights give the same logits as transformers' models of every family that the engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; it is only compared with")

from engine_bridge.torch_engine.model import Model  # noqa: E402
from engine_bridge.torch_engine.shape import read_shape  # noqa: E402
from engine_bridge.torch_engine.weights import load_weights  # noqa: E402
from tests.engine_bridge.torch_engine.toy import DEVICE, Sequence, Toy, make_tokens  # noqa: E402

SIZES: dict[str, Any] = {
    "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
    "intermediate_size": 80, "vocab_size": 97, "max_position_embeddings": 256,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {"rope_theta": 5000.0},
    "Qwen2": {"tie_word_embeddings": True},
    "Qwen3": {"head_dim": 16},
    "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    "Qwen3Moe": {
        "head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40,
        "norm_topk_prob": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_same_logits(family: str, tmp_path: Path) -> None:
    """A model saved by transformers, read from its folder, prefilled in chunks and decoded: the same logits."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SIZES, **FAMILIES[family])
    theirs = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for parameter in theirs.parameters():
        parameter.normal_(0.0, 0.3)
    theirs.save_pretrained(tmp_path)
    shape = read_shape(tmp_path)
    toy = Toy(shape)
    weights = load_weights(tmp_path, shape, dtype=torch.float32, device=DEVICE)
    toy.runner.model = Model(weights, toy.runner.model.backend)
    sequence = Sequence(make_tokens(1, 40), [9, 2, 5])
    expected = theirs(torch.tensor([sequence.tokens])).logits[0].double()
    for count in (20, 18, 1, 1):
        logits = toy.logits([(sequence, count)])[0]
        torch.testing.assert_close(logits, expected[sequence.computed - 1], atol=1e-3, rtol=1e-3)
