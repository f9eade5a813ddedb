"""Sandboxes shared by the tests of a module, with limits that a test can afford to reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.sandbox.tiers import ALL, Layer

QUICK = Limits(cpu_seconds=0.5, wall_seconds=20, memory_mb=128)


@pytest.fixture(scope="module", params=[ALL, ALL & ~Layer.NAMESPACES], ids=["all", "no namespaces"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One zygote for all tests of a module: that it survives them is part of what they prove.

    Once with all that the machine has, once as on a machine that denies namespaces.
    """
    with Sandbox(QUICK, layers=request.param) as sandbox:
        yield sandbox
