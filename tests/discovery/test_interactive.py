"""A problem with records, asked interactively, through every command."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.discovery.conftest import discover, write_config

SPEC = f"{Path(__file__).parents[1] / 'problems' / 'counter.py'}:Counter"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `small` on the counter problem and a file of own instances; tests only read it."""
    folder = tmp_path_factory.mktemp("interactive")
    finished = discover("run", write_config(folder, problem=SPEC, candidates=20), cwd=folder)
    assert finished.returncode == 0, finished.stderr
    (folder / "own.jsonl").write_text('{"service": [3, 4, 1], "arrived": [0, 0, 1], "opens": 0}\n')
    return folder


def test_the_genetic_proposer_searches_it(folder: Path) -> None:
    """Valid candidates with certified gaps, baselines beside them; scored again from source they agree to the bit."""
    board = json.loads(discover("leaderboard", "small", "--json", cwd=folder).stdout)
    found = [row for row in board if row["origin"].startswith("genetic")]
    assert found
    assert {"fcfs", "shortest"} <= {row["heuristic"] for row in board}
    assert all(row["validation"]["ratio_gap_pct"] >= 0 for row in board)
    assert all(row["validation"]["bound_kinds"] == {"lower": 8} for row in board)
    assert discover("verify", "small", cwd=folder).returncode == 0
    assert "def priority(customers, state)" in discover("show", found[0]["heuristic"], cwd=folder).stdout


def test_an_export_is_a_module_to_be_called(folder: Path, tmp_path: Path) -> None:
    """It says what it is and what it takes, can be imported, and holds the function; there is nothing to run."""
    done = discover("export", "fcfs", tmp_path / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "out" / "counter_fcfs.py"
    spec = importlib.util.spec_from_file_location("counter_fcfs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "a function for another to call" in module.__doc__  # type: ignore[operator]
    assert "  - state.now (number): time since it was opened" in module.__doc__  # type: ignore[operator]
    customers = SimpleNamespace(service=np.ones(2), waited=np.array([1.0, 2.0]))
    assert module.priority(customers, SimpleNamespace(now=2.0, served=0.0)).tolist() == [-1.0, -2.0]
    assert not hasattr(module, "schedule")
    assert "__main__" not in path.read_text()


def test_own_instances_are_scored_and_bounded(folder: Path) -> None:
    """Vectors as lists and scalars as numbers; shortest first costs 14 here, by hand, over a bound of 13."""
    own = ("--problem", SPEC, "--instances", "own.jsonl", "--json")
    record = json.loads(discover("evaluate", "shortest", *own, cwd=folder).stdout)
    assert record["ratio_gap_pct"] == pytest.approx(100 / 13)
    (bound,) = json.loads(discover("bounds", *own, cwd=folder).stdout)
    assert (bound["value"], bound["kind"]) == (13, "lower")
    compared = json.loads(discover("compare", "fcfs", "shortest", *own, cwd=folder).stdout)
    assert [each["verdict"] for each in compared] == ["ok", "ok"]
    listed = json.loads(discover("bounds", "--problem", SPEC, "--recompute", "--json", cwd=folder).stdout)
    assert [line["instances"] for line in listed] == [4, 8, 8, 8]


@pytest.mark.parametrize(
    ("body", "verdict", "said"),
    [
        ("return customers.services", "exception", "'customers' has no field 'services' (it has service, waited)"),
        ("return customers.service[1:]", "invalid_decision", "expected scores of shape"),
        ("return customers.service * float('nan')", "invalid_decision", "is NaN"),
        ("customers.service[:] = 0; return customers.service", "ok", ""),
    ],
)
def test_what_is_wrong_with_a_heuristic_is_said(
    folder: Path, tmp_path: Path, body: str, verdict: str, said: str
) -> None:
    """Typos in fields, wrong shapes and NaN end in a verdict that helps; overwriting arguments harms nobody."""
    (tmp_path / "mine.py").write_text(f"def priority(customers, state):\n    {body}\n")
    where = ("--problem", SPEC, "--split", "test", "--json")
    result = discover("evaluate", tmp_path / "mine.py", *where, cwd=folder)
    record = json.loads(result.stdout)
    assert record["verdict"] == verdict
    assert said in record.get("detail", "")
