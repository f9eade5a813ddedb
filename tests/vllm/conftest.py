"""Fixtures of the tests that need vLLM; where it is not installed they are not even collected."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.vllm.world import CHAMPIONS, export, write_model

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def sjf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported baseline SJF."""
    return export("sjf", tmp_path_factory.mktemp("exports") / "sjf")


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported champion of the serving problem."""
    return export(sorted(CHAMPIONS.glob("*.py"))[0], tmp_path_factory.mktemp("exports") / "champion")
