"""A runner made ready from a model's name or folder and a device."""

from __future__ import annotations

from pathlib import Path

import torch

from engine_bridge.torch_engine.attention import choose_backend
from engine_bridge.torch_engine.cache import KVCache, blocks_that_fit
from engine_bridge.torch_engine.errors import EngineError
from engine_bridge.torch_engine.model import Model
from engine_bridge.torch_engine.runner import Runner, RunnerSettings
from engine_bridge.torch_engine.shape import PRESETS, find_shape
from engine_bridge.torch_engine.weights import load_weights, random_weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_BLOCKS = 4096
"""KV blocks on the CPU unless told otherwise."""


def open_runner(
    model: str,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    blocks: int | None = None,
    block_size: int = 16,
    attention: str | None = None,
    seed: int = 0,
    threads: int = 1,
    settings: RunnerSettings | None = None,
) -> Runner:
    """Make a model's weights, its KV cache and what runs it, warmed up.

    Args:
        model: the name of a preset, whose weights are drawn from `seed`, or a folder with config.json and safetensors.
        device: "cpu", "cuda" or "cuda:N".
        dtype: float32 by default on the CPU, bfloat16 on a GPU.
        blocks: KV blocks; by default what the GPU's memory has room for, 4096 on the CPU.
        threads: that compute on the CPU, in all of this process. On a machine that is busy otherwise, several that wait
            for each other in every small operation take many times longer than one.
        attention: a back-end (`attention.base.BACKENDS`); by default the fastest for the device.

    Raises:
        EngineError: there is no such model, device or type, or too little memory.
    """
    shape = find_shape(model)
    where = find_device(device)
    torch.set_num_threads(threads)
    kind = find_dtype(dtype or ("float32" if where.type == "cpu" else "bfloat16"))
    if model in PRESETS:
        weights = random_weights(shape, seed=seed, dtype=kind, device=where)
    else:
        weights = load_weights(Path(model), shape, dtype=kind, device=where)
    settings = settings or RunnerSettings()
    loaded = Model(weights, choose_backend(where, attention))
    if blocks is None:
        blocks = CPU_BLOCKS
        if where.type == "cuda":
            blocks = blocks_that_fit(shape, block_size=block_size, dtype=kind)
    runner = Runner(loaded, KVCache(shape, blocks=blocks, block_size=block_size, dtype=kind, device=where), settings)
    runner.warm_up()
    return runner


def find_device(name: str) -> torch.device:
    """The device called `name`.

    Raises:
        EngineError: it is none, or there is no such GPU.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device {name!r} is unknown; give cpu, cuda or cuda:0, cuda:1, …")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EngineError(f"device {name!r} is not there: torch {torch.__version__} sees {count} GPUs; use cpu")
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    return device


def find_dtype(name: str) -> torch.dtype:
    """The number type called `name`.

    Raises:
        EngineError: the engine has no such type.
    """
    if name not in DTYPES:
        raise EngineError(f"number type {name!r} is unknown; give one of {', '.join(DTYPES)}")
    return DTYPES[name]
