"""A sandbox shared by the tests of a module, with limits that a test can afford to reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox

QUICK = Limits(cpu_seconds=0.5, wall_seconds=20, memory_mb=128)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One zygote for all tests of a module: that it survives them is part of what they prove."""
    with Sandbox(QUICK) as sandbox:
        yield sandbox
