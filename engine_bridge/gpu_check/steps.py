"""How fast single steps are, as a share of what the machine's measured rates would allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine_bridge.cost import attention_pairs, touched
from engine_bridge.gpu_check.part import Part
from engine_bridge.gpu_check.timing import seconds_of
from engine_bridge.torch_engine.batch import StepBatch, make_batch
from engine_bridge.torch_engine.errors import EngineError
from engine_bridge.torch_engine.runner import Runner
from engine_bridge.torch_engine.shape import ModelShape

DECODES = ((1, 1024), (64, 1024), (256, 1024))
"""Batch and context of the roofline table."""
PREFILLS = ((1, 2048), (4, 2048), (1, 8192))
"""Prompts and tokens of each."""
QUICK_DECODES, QUICK_PREFILLS = ((1, 64), (4, 64)), ((1, 64),)


def measure_steps(part: Part, runner: Runner) -> dict[str, list[dict[str, Any]]]:
    """Emit and return the rows `decode` and `prefill`; those that the cache has no room for are left out."""
    rates = part.known()["rates"]
    bandwidth, flops = rates["copy"]["bytes_per_second"], rates["matmul"]["flops"]
    found: dict[str, list[dict[str, Any]]] = {"decode": [], "prefill": []}
    fill(runner, QUICK_DECODES if part.quick else DECODES)
    for batch, context in QUICK_DECODES if part.quick else DECODES:
        if (why := _obstacle(runner, batch, context)) is not None:
            part.leave_out(f"decode {batch} x {context}", why)
            continue
        row = decode_row(runner, batch, context, bandwidth, repeats=5 if part.quick else 40)
        found["decode"].append(row)
        part.say(
            f"decode {batch:>4} x {context}: {row['ms']:.3f} ms, {row['tokens_per_second']:,.0f} tok/s, "
            f"{100 * row['share']:.1f} % of the measured bandwidth"
        )
        part.emit("decode", value=found["decode"])
    for prompts, length in QUICK_PREFILLS if part.quick else PREFILLS:
        if (why := _obstacle(runner, prompts, length)) is not None:
            part.leave_out(f"prefill {prompts} x {length}", why)
            continue
        row = prefill_row(runner, prompts, length, flops, repeats=3 if part.quick else 8)
        found["prefill"].append(row)
        part.say(
            f"prefill {prompts:>3} x {length}: {row['ms']:.2f} ms, {row['tokens_per_second']:,.0f} tok/s, "
            f"{100 * row['share']:.1f} % of the measured matmul rate"
        )
        part.emit("prefill", value=found["prefill"])
    return found


def fill(runner: Runner, decodes: tuple[tuple[int, int], ...]) -> None:
    """Random KV: zeros can be faster than real numbers."""
    cache = runner.cache
    blocks = min(cache.blocks, max(batch * -(-context // cache.block_size) for batch, context in decodes))
    with torch.inference_mode():
        for layer in range(runner.model.shape.layers):
            cache.keys(layer)[:blocks].normal_()
            cache.values(layer)[:blocks].normal_()


def _obstacle(runner: Runner, sequences: int, length: int) -> str | None:
    """Why these sequences cannot be measured."""
    cache, need = runner.cache, sequences * -(-length // runner.cache.block_size)
    if need > cache.blocks:
        return f"needs {need} KV blocks, the GPU's memory has room for {cache.blocks}"
    if length > runner.model.shape.max_position:
        return f"the model goes up to {runner.model.shape.max_position} tokens"
    return None


def batch_of(runner: Runner, sequences: int, count: int, computed: int) -> StepBatch:
    """`sequences` of random tokens, `count` each after `computed`, on blocks of their own."""
    size = runner.cache.block_size
    width = -(-(count + computed) // size)
    rng = np.random.default_rng(sequences)
    return make_batch(
        token_ids=rng.integers(0, runner.model.shape.vocab, sequences * count),
        counts=np.full(sequences, count),
        computed=np.full(sequences, computed),
        block_tables=rng.permutation(sequences * width).reshape(sequences, width),
        block_size=size,
    )


def decode_row(runner: Runner, batch: int, context: int, bandwidth: float, repeats: int) -> dict[str, Any]:
    """A step of `batch` decodes that each read `context` tokens of KV; the whole step, sampling and host included."""
    step = batch_of(runner, batch, 1, context - 1)
    seconds = float(np.median(seconds_of(lambda: runner.step(step), runner.device, repeats=repeats)))
    shape, size = runner.model.shape, runner.model.weights.dtype.itemsize
    kv = batch * context * shape.kv_bytes_per_token(size)
    read = weight_bytes(shape, batch, size) + kv
    embedding = 0 if shape.tied else shape.vocab * shape.hidden * size
    return {
        "batch": batch,
        "context": context,
        "ms": 1e3 * seconds,
        "tokens_per_second": batch / seconds,
        "ideal_ms": 1e3 * read / bandwidth,
        "share": read / bandwidth / seconds,
        "share_without_embedding": (read - embedding) / bandwidth / seconds,
    }


def weight_bytes(shape: ModelShape, tokens: int, size: int) -> float:
    """Bytes of weights that a step of `tokens` tokens is charged with: all, of experts those it is likely to need.

    The embedding counts as read, as in the reference's table; a step looks up single rows of it.
    """
    experts = 3 * shape.hidden * shape.intermediate * shape.layers * shape.experts
    needed = float(touched(shape.experts, shape.experts_per_token, np.array(tokens))) / max(shape.experts, 1)
    return size * (shape.parameter_count - experts * (1 - needed))


def prefill_row(runner: Runner, prompts: int, length: int, flops: float, repeats: int) -> dict[str, Any]:
    """A step of whole prompts."""
    step = batch_of(runner, prompts, length, 0)
    try:
        times = seconds_of(lambda: runner.step(step), runner.device, repeats=repeats, warm=2)
    except EngineError as error:
        raise EngineError(f"prefill of {prompts} x {length}: {error}") from error
    seconds = float(np.median(times))
    operations = prefill_operations(runner.model.shape, prompts, length)
    return {
        "prompts": prompts,
        "length": length,
        "ms": 1e3 * seconds,
        "tokens_per_second": prompts * length / seconds,
        "flops": operations / seconds,
        "ideal_ms": 1e3 * operations / flops,
        "share": operations / flops / seconds,
    }


def prefill_operations(shape: ModelShape, prompts: int, length: int) -> float:
    """Operations of whole prompts: 2 for each weight and token, 4 · head size for each query, head and key.

    The head is for the last token of each prompt alone; of the experts, those that a token uses count.
    """
    layers = shape.parameter_count - (1 if shape.tied else 2) * shape.vocab * shape.hidden
    layers -= 3 * shape.hidden * shape.intermediate * shape.layers * (shape.experts - shape.experts_per_token)
    head = shape.vocab * shape.hidden
    pairs = float(attention_pairs(0, length))
    attention = 4 * shape.query_size * shape.layers * pairs
    return prompts * (2.0 * (layers * length + head) + attention)
