"""What the machine can do at best: bytes that it copies and operations of a matrix product, both per second."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine_bridge.gpu_check.part import Part
from engine_bridge.gpu_check.timing import seconds_of
from engine_bridge.harness import machine
from engine_bridge.torch_engine.opening import find_device

COPY_BYTES = 4 << 30
MATRIX = 8192


def run(part: Part) -> None:
    """Emit `copy` and `matmul`."""
    device = find_device(part.device)
    part.emit("machine", value={**machine(), "device": _name(device)})
    copy = measure_copy(device, 1 << 24 if part.quick else COPY_BYTES)
    part.say(f"copy: {copy['bytes_per_second'] / 1e12:.3f} TB/s, read and written bytes counted")
    part.emit("copy", value=copy)
    matmul = measure_matmul(device, 256 if part.quick else MATRIX)
    part.say(f"matmul: {matmul['flops'] / 1e12:.4g} TFLOP/s in {matmul['dtype']}")
    part.emit("matmul", value=matmul)


def measure_copy(device: torch.device, size: int) -> dict[str, Any]:
    """Copy `size` random bytes on the device; bytes read and written per second, median."""
    if device.type == "cuda":
        size = min(size, torch.cuda.mem_get_info(device)[0] // 4)
    source = torch.randint(-128, 127, (size,), dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    seconds = seconds_of(lambda: target.copy_(source), device, repeats=20)
    return {"bytes": size, "bytes_per_second": 2 * size / float(np.median(seconds)), "best": 2 * size / min(seconds)}


def measure_matmul(device: torch.device, size: int) -> dict[str, Any]:
    """A square product of random matrices in the type of the models; 2 · size³ operations per second, median."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = seconds_of(lambda: torch.mm(a, b, out=out), device, repeats=30)
    operations = 2 * size**3
    return {
        "size": size,
        "dtype": str(dtype).removeprefix("torch."),
        "flops": operations / float(np.median(seconds)),
        "best": operations / min(seconds),
    }


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
