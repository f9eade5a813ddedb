"""What goes wrong for a reason its user can mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EngineError(ValueError):
    """The engine cannot do what was asked; the message says what, where, the value and the remedy in one sentence."""


@contextmanager
def memory_for(purpose: str, remedy: str) -> Iterator[None]:
    """Turn running out of GPU memory inside the block into an `EngineError` that names the purpose and the remedy."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        free, total = torch.cuda.mem_get_info()
        raise EngineError(
            f"out of GPU memory for {purpose} ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free); {remedy}"
        ) from error
