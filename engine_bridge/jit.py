"""`compiled`: numba's `njit` with the project's settings and a type that mypy can follow."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call and keep the machine code on disk, so that the next process starts fast.

    Where neither the package nor the user's cache folder can be written, every process compiles for itself.
    """
    return _compile(function)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """`compiled`, and put into those that call it: passing a tuple of arrays costs more than a small body does."""
    return _compile(function, forceinline=True)


def _compile(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    # The machine code kept for a function includes what it calls, yet numba renews it only when the function's own
    # file changes. After editing kernels that other files call, delete the `__pycache__` beside them.
    try:
        dispatcher = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # numba found no folder to keep machine code in
        dispatcher = njit(nogil=True, **options)(function)
    return cast(Callable[P, R], dispatcher)
