"""What README says is true."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.archive import Archive
from discovery.config import Config
from discovery.proposers.settings import KINDS, Model
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
    keys += [f"proposer.{key}" for model in (*KINDS.values(), Model) for key in model.model_fields]
    assert [key for key in keys if f"`{key}`" not in README] == []


def test_every_command_is_in_the_readme(tmp_path: Path) -> None:
    """Every command that --help lists is explained."""
    listed = re.findall(r"^│ (\w+) ", discover("--help", cwd=tmp_path).stdout, re.M)
    assert len(listed) >= 9
    assert [name for name in listed if f"discover {name}" not in README] == []


def test_an_export_of_the_readmes_problem_decides_as_scored(own_problem: Path) -> None:
    """With ties everywhere, the exported module places jobs exactly as the scored rule did."""
    from problems.registry import load_problem

    settings = ["run.problem=weighted.py:WeightedTardiness", "budget.candidates=8", "run.name=ties"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert discover("run", "demo", *arguments, cwd=own_problem).returncode == 0
    problem = load_problem(f"{own_problem}/weighted.py:WeightedTardiness")
    board = json.loads(discover("leaderboard", "ties", "--json", cwd=own_problem).stdout)
    best = next(row["heuristic"] for row in board if "test" in row)
    assert discover("export", f"ties/{best}", "out", cwd=own_problem).returncode == 0
    space: dict[str, Any] = {"__name__": "exported"}
    exec((own_problem / "out" / f"weighted_tardiness_{best}.py").read_text(), space)
    costs = []
    for instance in problem.split("test"):
        order = np.array(space["schedule"](*(instance[name] for name in "pdw")))
        costs.append(problem.cost(instance, order))
    with Archive(own_problem / "runs" / "ties", "read") as archive:
        recorded = archive.evaluation(best, "test")
    assert recorded is not None
    assert tuple(costs) == recorded.costs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("return float(", "raise RuntimeError('oops') or float("), "cost() of"),
        (("return Bound(best[-1]", "return Bound(best[-1] * 3 + 1"), "is below its bound"),
        (('"optimal", "dynamic', '"best", "dynamic'), "'optimal' or 'lower'"),
        (("return float(", "return float('nan') * ("), "is nan"),
        (("np.random.default_rng(SPLITS.index(name))", "np.random.default_rng()"), "must always return the same ones"),
    ],
)
def test_a_faulty_problem_is_named_not_scored(own_problem: Path, change: tuple[str, str], said: str) -> None:
    """Errors and impossibilities in a user's problem end the run in one sentence that says where."""
    path = own_problem / "weighted.py"
    path.write_text(path.read_text().replace(*change))
    settings = ["run.problem=weighted.py:WeightedTardiness", "budget.candidates=8", "run.name=faulty"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = discover("run", "demo", *arguments, cwd=own_problem)
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_what_a_problem_prints_does_not_get_in_the_way(own_problem: Path) -> None:
    """Debugging output of a user's problem goes to standard error and breaks nothing."""
    path = own_problem / "weighted.py"
    path.write_text(
        "print('loaded')\n" + path.read_text().replace("        late =", "        print('cost')\n        late =")
    )
    settings = ["run.problem=weighted.py:WeightedTardiness", "budget.candidates=5", "run.name=noisy"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert discover("run", "demo", *arguments, cwd=own_problem).returncode == 0
