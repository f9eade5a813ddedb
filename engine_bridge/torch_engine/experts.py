"""The feed-forward part of a mixture of experts: tokens sorted by expert, one matrix product per group."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine_bridge.torch_engine.ops import Ops
from engine_bridge.torch_engine.shape import ModelShape
from engine_bridge.torch_engine.weights import LayerWeights


def run_experts(x: Tensor, layer: LayerWeights, shape: ModelShape, ops: Ops) -> Tensor:
    """Each token through its `experts_per_token` best experts, weighted; x and the result (T, hidden)."""
    assert layer.router is not None
    weights, chosen = route(x, layer.router, shape)
    order = torch.argsort(chosen.flatten(), stable=True)
    ends = torch.searchsorted(
        chosen.flatten()[order], torch.arange(shape.experts, device=x.device), right=True, out_int32=True
    )
    inner = ops.silu_mul(grouped_product(x[order // shape.experts_per_token], layer.gate_up, ends))
    results = grouped_product(inner, layer.down, ends)
    back = torch.empty_like(results)
    back[order] = results
    return torch.einsum("tkh,tk->th", back.view(*chosen.shape, -1), weights.to(x.dtype))


def route(x: Tensor, router: Tensor, shape: ModelShape) -> tuple[Tensor, Tensor]:
    """Weights (float32) and numbers of the experts of each token, shape (T, experts_per_token) each."""
    shares = functional.linear(x, router).float().softmax(dim=-1)
    weights, chosen = shares.topk(shape.experts_per_token, dim=-1)
    if shape.norm_top_k:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights, chosen


def grouped_product(x: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """Rows ends[e − 1] … ends[e] of x times matrix e: (n, inputs) and (experts, outputs, inputs) → (n, outputs)."""
    if has_grouped_product(x.device, x.dtype):
        return torch._grouped_mm(x, matrices.transpose(1, 2), offs=ends)
    parts, start = [], 0
    for expert, end in enumerate(ends.tolist()):
        if end > start:
            parts.append(functional.linear(x[start:end], matrices[expert]))
        start = end
    return torch.cat(parts)


def has_grouped_product(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch multiplies all groups in one kernel, without asking the host how large they are."""
    if device.type != "cuda" or dtype != torch.bfloat16 or not hasattr(torch, "_grouped_mm"):
        return False
    return torch.cuda.get_device_capability(device)[0] in (9, 10)
