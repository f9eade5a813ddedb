"""The lab, and one sandbox for every set of layers that a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import Layer
from tests.attacks.lab import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all attacks: what one of them spoils, the next one finds spoilt."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def sandbox_with() -> Iterator[Callable[[Layer], Sandbox]]:
    """A function that gives the sandbox with certain layers, the same one each time."""
    with ExitStack() as stack:
        yield cache(lambda layers: stack.enter_context(Sandbox(layers=layers)))
