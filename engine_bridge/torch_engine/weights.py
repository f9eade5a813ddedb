"""The weights of a model: random, or read from a local folder of safetensors files.

Matrices that are multiplied with the same input are one matrix here: queries, keys and values; gate and up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine_bridge.torch_engine.errors import EngineError, memory_for
from engine_bridge.torch_engine.safetensors import TensorFolder
from engine_bridge.torch_engine.shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """One layer; matrices are (outputs, inputs), those of experts (experts, outputs, inputs), the rest vectors.

    qkv: queries, keys, values one below the other. gate_up: gate above up. router: one row per expert.
    """

    attention_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    output: Tensor
    feed_forward_norm: Tensor
    router: Tensor | None
    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A whole model; embedding and head are (vocab, hidden), the same tensor if tied."""

    shape: ModelShape
    embedding: Tensor
    layers: tuple[LayerWeights, ...]
    norm: Tensor
    head: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """The type of all numbers."""
        return self.embedding.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.embedding.device


def empty_weights(shape: ModelShape, dtype: torch.dtype, device: torch.device) -> Weights:
    """Memory for the weights of a model, not filled.

    Raises:
        EngineError: the GPU has too little memory.
    """

    def make(*size: int) -> Tensor:
        return torch.empty(size, dtype=dtype, device=device)

    with memory_for(f"the weights of model {shape.name}", "choose a smaller model or end what else uses the GPU"):
        embedding = make(shape.vocab, shape.hidden)
        layers = tuple(_empty_layer(shape, make) for _ in range(shape.layers))
        head = embedding if shape.tied else make(shape.vocab, shape.hidden)
        return Weights(shape=shape, embedding=embedding, layers=layers, norm=make(shape.hidden), head=head)


def _empty_layer(shape: ModelShape, make: Callable[..., Tensor]) -> LayerWeights:
    qkv = shape.query_size + 2 * shape.kv_size
    experts = (shape.experts,) if shape.experts else ()
    return LayerWeights(
        attention_norm=make(shape.hidden),
        qkv=make(qkv, shape.hidden),
        qkv_bias=make(qkv) if shape.qkv_bias else None,
        query_norm=make(shape.head_dim) if shape.qk_norm else None,
        key_norm=make(shape.head_dim) if shape.qk_norm else None,
        output=make(shape.hidden, shape.query_size),
        feed_forward_norm=make(shape.hidden),
        router=make(shape.experts, shape.hidden) if shape.experts else None,
        gate_up=make(*experts, 2 * shape.intermediate, shape.hidden),
        down=make(*experts, shape.hidden, shape.intermediate),
    )


def named_tensors(weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """Name and place of every tensor of a Hugging Face folder: views into the weights."""
    shape = weights.shape
    yield "model.embed_tokens.weight", weights.embedding
    for number, layer in enumerate(weights.layers):
        for name, tensor in _layer_tensors(shape, layer):
            yield f"model.layers.{number}.{name}", tensor
    yield "model.norm.weight", weights.norm
    if not shape.tied:
        yield "lm_head.weight", weights.head


def _layer_tensors(shape: ModelShape, layer: LayerWeights) -> Iterator[tuple[str, Tensor]]:
    sizes = [shape.query_size, shape.kv_size, shape.kv_size]
    yield "input_layernorm.weight", layer.attention_norm
    for letter, tensor in zip("qkv", torch.split(layer.qkv, sizes), strict=True):
        yield f"self_attn.{letter}_proj.weight", tensor
    if layer.qkv_bias is not None:
        for letter, tensor in zip("qkv", torch.split(layer.qkv_bias, sizes), strict=True):
            yield f"self_attn.{letter}_proj.bias", tensor
    if layer.query_norm is not None and layer.key_norm is not None:
        yield "self_attn.q_norm.weight", layer.query_norm
        yield "self_attn.k_norm.weight", layer.key_norm
    yield "self_attn.o_proj.weight", layer.output
    yield "post_attention_layernorm.weight", layer.feed_forward_norm
    if layer.router is None:
        yield from _feed_forward_tensors("mlp", ("gate_proj", "up_proj", "down_proj"), layer.gate_up, layer.down)
        return
    mixtral = shape.family == "mixtral"
    part = "block_sparse_moe" if mixtral else "mlp"
    names = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    yield f"{part}.gate.weight", layer.router
    for expert in range(shape.experts):
        where = f"{part}.experts.{expert}"
        yield from _feed_forward_tensors(where, names, layer.gate_up[expert], layer.down[expert])


def _feed_forward_tensors(
    where: str, names: tuple[str, str, str], gate_up: Tensor, down: Tensor
) -> Iterator[tuple[str, Tensor]]:
    gate, up = gate_up.chunk(2)
    for name, tensor in zip(names, (gate, up, down), strict=True):
        yield f"{where}.{name}.weight", tensor


def random_weights(shape: ModelShape, *, seed: int, dtype: torch.dtype, device: torch.device) -> Weights:
    """Weights drawn where they are used: norms 1, biases 0, the rest normal with variance 1 / inputs.

    The variance keeps activations and logits of the order of 1 whatever the depth, so that no number type overflows.

    Raises:
        EngineError: the GPU has too little memory.
    """
    weights = empty_weights(shape, dtype, device)
    generator = torch.Generator(device).manual_seed(seed)
    vectors, matrices = _parameters(weights)
    for vector in vectors:
        vector.fill_(1.0)
    for matrix in matrices:
        matrix.normal_(0.0, matrix.shape[-1] ** -0.5, generator=generator)
    for layer in weights.layers:
        if layer.qkv_bias is not None:
            layer.qkv_bias.normal_(0.0, 0.1, generator=generator)
    return weights


def _parameters(weights: Weights) -> tuple[list[Tensor], list[Tensor]]:
    """All vectors but the biases, and all matrices, each once."""
    tensors = [weights.embedding, weights.norm]
    for layer in weights.layers:
        tensors += [
            layer.attention_norm, layer.qkv, layer.output, layer.feed_forward_norm, layer.gate_up, layer.down
        ]  # fmt: skip
        tensors += [each for each in (layer.query_norm, layer.key_norm, layer.router) if each is not None]
    if not weights.shape.tied:
        tensors.append(weights.head)
    return [each for each in tensors if each.ndim == 1], [each for each in tensors if each.ndim > 1]


def load_weights(folder: Path, shape: ModelShape, *, dtype: torch.dtype, device: torch.device) -> Weights:
    """The weights in the safetensors files of a folder, under the names that Hugging Face uses.

    Raises:
        EngineError: a file or a tensor is missing or malformed or has the wrong shape, or memory is short.
    """
    files = TensorFolder(folder)
    weights = empty_weights(shape, dtype, device)
    for name, place in named_tensors(weights):
        tensor = files.tensor(name)
        if tensor.shape != place.shape:
            raise EngineError(
                f"{folder}: tensor {name} is {tuple(tensor.shape)}, config.json says {tuple(place.shape)}; "
                "download the model again"
            )
        place.copy_(tensor)
    return weights
