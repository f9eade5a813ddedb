"""What README says is true."""

import json
import re
from pathlib import Path

import pytest

from discovery.config import Config, GeneticProposer, OpenAIProposer
from tests.discovery.conftest import discover

README = Path("README.md").read_text()


@pytest.fixture
def own_problem(tmp_path: Path) -> Path:
    """A folder with README's own problem as weighted.py."""
    blocks = [block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "(Problem)" in block]
    assert len(blocks) == 1
    assert blocks[0].count("\n") <= 60
    (tmp_path / "weighted.py").write_text(blocks[0])
    return tmp_path


def test_the_readmes_own_problem_runs(own_problem: Path) -> None:
    """The problem shown in README is searched by the genetic proposer and ends with certified gaps."""
    settings = [
        "run.problem=weighted.py:WeightedTardiness",
        "budget.candidates=25",
        "run.name=own",
        "evaluation.workers=2",
    ]
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = discover("run", "demo", *arguments, "--json", cwd=own_problem)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert any(row["test"]["bound_kinds"] == {"optimal": 50} for row in rows if "test" in row)
    assert all(row["validation"]["ratio_gap_pct"] >= 0 for row in rows)
    assert discover("verify", "own", cwd=own_problem).returncode == 0
    best = rows[0]["heuristic"]
    assert discover("export", f"own/{best}", "out", cwd=own_problem).returncode == 0


def test_the_readmes_own_problem_takes_a_heuristic(own_problem: Path) -> None:
    """A hand-written rule is scored on it, and sees all four arguments."""
    (own_problem / "mine.py").write_text(
        "import numpy as np\n\ndef priority(p, d, w, t):\n    return np.maximum(d - t, p) / w\n"
    )
    spec = "weighted.py:WeightedTardiness"
    result = discover("evaluate", "mine.py", "--problem", spec, "--split", "test", "--json", cwd=own_problem)
    record = json.loads(result.stdout)
    assert (record["verdict"], record["instances"]) == ("ok", 50)
    assert 0 <= record["ratio_gap_pct"] < 100


def test_every_config_key_is_in_the_readme() -> None:
    """The table of configs names every key there is."""
    sections = {name: field.annotation for name, field in Config.model_fields.items() if name != "proposer"}
    keys = [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]  # type: ignore[union-attr]
    keys += [f"proposer.{key}" for model in (GeneticProposer, OpenAIProposer) for key in model.model_fields]
    assert [key for key in keys if f"`{key}`" not in README] == []


def test_every_command_is_in_the_readme(tmp_path: Path) -> None:
    """Every command that --help lists is explained."""
    listed = re.findall(r"^│ (\w+) ", discover("--help", cwd=tmp_path).stdout, re.M)
    assert len(listed) >= 9
    assert [name for name in listed if f"discover {name}" not in README] == []
