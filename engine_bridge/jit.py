"""`compiled`: numba's `njit` with the project's settings and a type that mypy can follow."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

try:
    from numba import njit
except ImportError:  # a GPU machine with torch alone, or a NumPy that is too new for its numba
    njit = None

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call and keep the machine code on disk, so that the next process starts fast.

    Where neither the package nor the user's cache folder can be written, every process compiles for itself. Without
    numba the function stays as it is: slower, but the same.
    """
    if njit is None:
        return function
    # The machine code kept for a function includes what it calls, yet numba renews it only when the function's own
    # file changes. After editing kernels that other files call, delete `engine_bridge/__pycache__`.
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder to keep machine code in
        dispatcher = njit(nogil=True)(function)
    return cast(Callable[P, R], dispatcher)
