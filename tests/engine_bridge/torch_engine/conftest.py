"""One thread, and Triton kernels interpreted on the CPU where there is no GPU."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

if find_spec("torch") and find_spec("triton"):
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Let torch use one thread."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
