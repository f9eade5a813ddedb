"""The dimensions of a model, given by name or read from the config.json of a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_bridge.torch_engine.errors import EngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder of the Llama family: RMS norm before each part, rotary positions, grouped-query attention, SwiGLU.

    intermediate: width of the feed-forward part, of one expert if there are any. tied: the output head is the
    embedding. qkv_bias: as in Qwen2. qk_norm: queries and keys are normalised per head, as in Qwen3. experts: 0 for a
    dense model. norm_top_k: the weights of the chosen experts sum to 1. family: the tensor names of the experts.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    max_position: int = 8192
    tied: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    experts: int = 0
    experts_per_token: int = 0
    norm_top_k: bool = True
    family: str = "llama"

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocab", "max_position"):
            if getattr(self, name) < 1:
                raise EngineError(f"model {self.name}: {name} is {getattr(self, name)}; give at least 1")
        if self.heads % self.kv_heads:
            raise EngineError(
                f"model {self.name}: {self.heads} heads do not divide among {self.kv_heads} KV heads; "
                "give a multiple of them"
            )
        if self.head_dim % 2:
            raise EngineError(f"model {self.name}: head_dim is {self.head_dim}; rotary positions need an even number")
        if not 0 <= self.experts_per_token <= self.experts or (self.experts > 0 and self.experts_per_token == 0):
            raise EngineError(
                f"model {self.name}: {self.experts_per_token} experts per token of {self.experts}; "
                "give 1 to experts, or 0 of 0"
            )

    @property
    def query_size(self) -> int:
        """Numbers in the queries of one token, all heads."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Numbers in the keys of one token, all heads of one layer; as many in its values."""
        return self.kv_heads * self.head_dim

    def kv_bytes_per_token(self, bytes_per_number: int = 2) -> int:
        """Bytes of KV that one token holds, all layers."""
        return 2 * self.layers * self.kv_size * bytes_per_number

    @property
    def parameter_count(self) -> int:
        """Parameters of the whole model, the embedding once if it is tied."""
        attention = self.hidden * (2 * self.query_size + 2 * self.kv_size)
        small = 2 * self.hidden + self.qkv_bias * (self.query_size + 2 * self.kv_size)
        small += self.qk_norm * 2 * self.head_dim + self.experts * self.hidden
        feed_forward = 3 * self.hidden * self.intermediate * max(1, self.experts)
        embeddings = (1 if self.tied else 2) * self.vocab * self.hidden
        return self.layers * (attention + small + feed_forward) + embeddings + self.hidden


PRESETS: Mapping[str, ModelShape] = {
    shape.name: shape
    for shape in (
        ModelShape(
            name="tiny", layers=4, hidden=128, heads=4, kv_heads=2, head_dim=32, intermediate=256, vocab=512,
            max_position=16_384,
        ),
        ModelShape(
            name="tiny-moe", layers=4, hidden=128, heads=4, kv_heads=2, head_dim=32, intermediate=64, vocab=512,
            max_position=16_384, qk_norm=True, experts=8, experts_per_token=2, family="qwen3_moe",
        ),
        ModelShape(
            name="llama3-8b", layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, intermediate=14_336,
            vocab=128_256, rope_theta=500_000.0,
        ),
        ModelShape(
            name="qwen3-30b-a3b", layers=48, hidden=2048, heads=32, kv_heads=4, head_dim=128, intermediate=768,
            vocab=151_936, rope_theta=1_000_000.0, norm_eps=1e-6, max_position=40_960, qk_norm=True, experts=128,
            experts_per_token=8, family="qwen3_moe",
        ),
    )
}  # fmt: skip
"""Shapes by name; the last two are those of the published models."""

FAMILIES = ("llama", "qwen2", "qwen3", "mixtral", "qwen3_moe")
"""`model_type`s of config.json that the engine can run."""


def find_shape(model: str) -> ModelShape:
    """The shape of a preset, or of the model in a folder.

    Raises:
        EngineError: there is neither, or the folder's model is of another kind.
    """
    if model in PRESETS:
        return PRESETS[model]
    if not Path(model).is_dir():
        raise EngineError(f"no model {model!r}; give a folder with config.json or one of {', '.join(PRESETS)}")
    return read_shape(Path(model))


def read_shape(folder: Path) -> ModelShape:
    """The shape in the config.json of a Hugging Face folder.

    Raises:
        EngineError: the file is missing or malformed, or asks for something the engine lacks.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(f"cannot read {path} ({error.strerror}); give the folder of a downloaded model") from None
    except ValueError as error:
        raise EngineError(f"{path} is no JSON ({error}); download the model again") from None
    if not isinstance(config, dict):
        raise EngineError(f"{path} is no JSON object; download the model again")
    _refuse_unknown_kinds(config, path)
    try:
        return _shape_of(config, folder.name)
    except KeyError as error:
        raise EngineError(f"{path} has no {error.args[0]!r}; download the model again") from None
    except (TypeError, ValueError) as error:
        raise EngineError(f"{path} cannot be used ({error}); download the model again") from None


def _refuse_unknown_kinds(config: Mapping[str, Any], path: Path) -> None:
    """Refuse what would give wrong logits without a word."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise EngineError(f"{path}: model_type {family!r} is unknown here; the engine runs {', '.join(FAMILIES)}")
    rope = _rope(config)
    kind = rope.get("rope_type", rope.get("type", "default"))
    for name, value, usual in (
        ("rope_scaling", kind, ("default",)),
        ("hidden_act", config.get("hidden_act", "silu"), ("silu",)),
        ("attention_bias", config.get("attention_bias", False), (False, None)),
        ("mlp_bias", config.get("mlp_bias", False), (False, None)),
        ("use_sliding_window", config.get("use_sliding_window", False), (False, None)),
        ("mlp_only_layers", config.get("mlp_only_layers") or [], ([],)),
        ("decoder_sparse_step", config.get("decoder_sparse_step", 1), (1,)),
    ):
        if value not in usual:
            raise EngineError(f"{path}: {name} {value!r} is not built in; choose a model with {name} {usual[0]!r}")
    if family == "mixtral" and config.get("sliding_window"):
        raise EngineError(f"{path}: sliding_window is not built in; choose a model without it")


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the config says of rotary positions, under either of the names that are in use."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return found if isinstance(found, dict) else {}


def _shape_of(config: Mapping[str, Any], name: str) -> ModelShape:
    family = config["model_type"]
    sparse = family in ("mixtral", "qwen3_moe")
    experts = config.get("num_local_experts", config.get("num_experts", 0)) if sparse else 0
    theta = _rope(config).get("rope_theta", config.get("rope_theta", 10_000.0))
    return ModelShape(
        name=name,
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["hidden_size"]),
        heads=int(config["num_attention_heads"]),
        kv_heads=int(config.get("num_key_value_heads") or config["num_attention_heads"]),
        head_dim=int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]),
        intermediate=int(config["moe_intermediate_size" if family == "qwen3_moe" else "intermediate_size"]),
        vocab=int(config["vocab_size"]),
        rope_theta=float(theta),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        max_position=int(config.get("max_position_embeddings", 8192)),
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=family == "qwen2",
        qk_norm=family in ("qwen3", "qwen3_moe"),
        experts=int(experts),
        experts_per_token=int(config["num_experts_per_tok"]) if sparse else 0,
        norm_top_k=bool(config.get("norm_topk_prob", False)) if family == "qwen3_moe" else True,
        family=family,
    )
