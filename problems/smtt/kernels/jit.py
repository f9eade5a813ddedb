"""`compiled`: numba's `njit` with the project's settings and a type that mypy can follow."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call and keep the machine code on disk, so that the next process starts fast."""
    return cast(Callable[P, R], njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile into every caller: for small functions of inner loops, whose arguments would cost more than they do."""
    return cast(Callable[P, R], njit(cache=True, nogil=True, forceinline=True)(function))
