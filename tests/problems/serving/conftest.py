from collections.abc import Iterator

import pytest

from evaluators.sandbox.supervisor import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the tests of a file."""
    with Sandbox() as sandbox:
        yield sandbox
