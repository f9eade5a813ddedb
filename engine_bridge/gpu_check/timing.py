"""Seconds that something takes on a device."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch


def seconds_of(action: Callable[[], object], device: torch.device, *, repeats: int, warm: int = 3) -> list[float]:
    """Wall time of each of `repeats` calls, the device waited for before and after; `warm` calls go before."""
    for _ in range(warm):
        action()
    found = []
    for _ in range(repeats):
        wait(device)
        start = perf_counter()
        action()
        wait(device)
        found.append(perf_counter() - start)
    return found


def wait(device: torch.device) -> None:
    """Let the device finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
