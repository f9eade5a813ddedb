"""A plain decoder without pages, batches or fused matrices, straight from the papers: what the engine is checked by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from engine_bridge.torch_engine.shape import ModelShape

Tensor = torch.Tensor
Tensors = Mapping[str, Tensor]


def reference_logits(shape: ModelShape, tensors: Tensors, tokens: Sequence[int]) -> Tensor:
    """Logits after every token of one sequence, float64; shape (len(tokens), vocab)."""
    named = {name: tensor.double().cpu() for name, tensor in tensors.items()}
    x = named["model.embed_tokens.weight"][torch.tensor(tokens)]
    for number in range(shape.layers):
        prefix = f"model.layers.{number}."
        layer = {name.removeprefix(prefix): each for name, each in named.items() if name.startswith(prefix)}
        x = x + attention(shape, layer, rms(x, layer["input_layernorm.weight"], shape.norm_eps))
        x = x + feed_forward(shape, layer, rms(x, layer["post_attention_layernorm.weight"], shape.norm_eps))
    head = named["model.embed_tokens.weight"] if shape.tied else named["lm_head.weight"]
    return rms(x, named["model.norm.weight"], shape.norm_eps) @ head.T


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMS norm over the last dimension."""
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def rotate(x: Tensor, theta: float) -> Tensor:
    """Each pair (i, i + d/2) as a complex number times e^(i · position · theta^(−2i/d)); x (n, d)."""
    n, d = x.shape
    rate = theta ** (-torch.arange(0, d, 2).double() / d)
    turn = torch.polar(torch.ones(n, d // 2).double(), torch.outer(torch.arange(n).double(), rate))
    turned = torch.complex(x[:, : d // 2], x[:, d // 2 :]) * turn
    return torch.cat([turned.real, turned.imag], dim=1)


def attention(shape: ModelShape, layer: Tensors, x: Tensor) -> Tensor:
    """Causal attention, head by head."""
    d = shape.head_dim
    q, k, v = (
        x @ layer[f"self_attn.{each}_proj.weight"].T + layer.get(f"self_attn.{each}_proj.bias", 0) for each in "qkv"
    )
    future = torch.ones(len(x), len(x)).triu(1).bool()
    heads = []
    for head in range(shape.heads):
        shared = head // (shape.heads // shape.kv_heads)
        query, key = q[:, head * d : (head + 1) * d], k[:, shared * d : (shared + 1) * d]
        if shape.qk_norm:
            query = rms(query, layer["self_attn.q_norm.weight"], shape.norm_eps)
            key = rms(key, layer["self_attn.k_norm.weight"], shape.norm_eps)
        scores = rotate(query, shape.rope_theta) @ rotate(key, shape.rope_theta).T / d**0.5
        shares = scores.masked_fill(future, -torch.inf).softmax(-1)
        heads.append(shares @ v[:, shared * d : (shared + 1) * d])
    return torch.cat(heads, dim=1) @ layer["self_attn.o_proj.weight"].T


def feed_forward(shape: ModelShape, layer: Tensors, x: Tensor) -> Tensor:
    """SwiGLU, or the best experts of each token, token by token."""
    if not shape.experts:
        return swiglu(x, layer, "mlp", ("gate_proj", "up_proj", "down_proj"))
    mixtral = shape.family == "mixtral"
    part, names = (
        ("block_sparse_moe", ("w1", "w3", "w2")) if mixtral else ("mlp", ("gate_proj", "up_proj", "down_proj"))
    )
    shares = (x @ layer[f"{part}.gate.weight"].T).softmax(-1)
    rows = []
    for token, share in zip(x, shares, strict=True):
        best = share.argsort(descending=True)[: shape.experts_per_token]
        total = share[best].sum() if shape.norm_top_k else 1.0
        rows.append(sum(share[e] / total * swiglu(token, layer, f"{part}.experts.{e}", names) for e in best.tolist()))
    return torch.stack(rows)  # type: ignore[arg-type]


def swiglu(x: Tensor, layer: Tensors, where: str, names: tuple[str, str, str]) -> Tensor:
    """down(silu(gate(x)) · up(x))."""
    gate, up, down = (layer[f"{where}.{name}.weight"] for name in names)
    return torch.nn.functional.silu(x @ gate.T) * (x @ up.T) @ down.T
