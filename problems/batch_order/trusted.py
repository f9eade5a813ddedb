"""The baselines asked directly, in this process: they are the project's own files, and give best known solutions."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

from problems.base import Array, Ask


@lru_cache
def trusted_asks(folder: Path) -> tuple[Ask, ...]:
    """One `Ask` for each baseline file of a folder, in the order of their names."""
    return tuple(_ask(path) for path in sorted(folder.glob("*.py")))


def _ask(path: Path) -> Ask:
    functions = runpy.run_path(str(path))

    def ask(function: str, arrays: Sequence[Array], *, dispatch: bool = False, records: str = "") -> Array:
        answer: Array = call(functions[function], arrays, records)
        return answer

    return ask


def call(function: Callable[..., Array], arrays: Sequence[Array], records: str) -> Array:
    """Call an entry function on the records that `records` describes (`Entry.records`)."""
    values = iter(array if array.ndim else array.item() for array in arrays)
    layouts = [part.partition(":")[2].split(",") for part in records.split(";")]
    return function(*(SimpleNamespace(**{name: next(values) for name in names}) for names in layouts))
