"""`kernel`: triton's `jit` with a type that mypy can follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton


def kernel(varying: Sequence[str] = ()) -> Callable[[Callable[..., None]], Any]:
    """Compile a function for the GPU; `kernel[grid](...)` starts it.

    Args:
        varying: integers that change from step to step. Triton compiles once more when an integer becomes 1 or a
            multiple of 16, which would be felt in the middle of a measurement; these it leaves alone.
    """
    return triton.jit(do_not_specialize=list(varying))
