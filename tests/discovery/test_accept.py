"""Acceptance of winners, and what later runs and leaderboards make of them, with the real command."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from discovery.archive import Archive
from discovery.champions import TRIALS, as_toml, trials
from discovery.config import Config
from tests.discovery.conftest import discover
from tests.discovery.runs import board, query, write_config

GENETIC = 'kind = "genetic"'
PROBLEM = "tiny"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `r` of the tiny problem, whose only baseline forgets the weights."""
    folder = tmp_path_factory.mktemp("searched")
    finished = discover("run", write_config(folder, GENETIC, candidates=60), cwd=folder)
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    """A copy of it, for tests that write."""
    return Path(shutil.copytree(searched, tmp_path / "copy"))


def best(folder: Path, run: str = "r") -> str:
    """The best candidate on validation."""
    return str(next(row["heuristic"] for row in board(folder, run) if row["origin"] != "baseline"))


def accept(folder: Path, name: str, seed: int = 7) -> tuple[int, dict[str, Any]]:
    """Exit code and record of a trial."""
    result = discover("accept", name, "--seed", str(seed), "--json", cwd=folder)
    assert result.returncode in (0, 1) and result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_a_winner_is_kept_with_all_that_is_known_of_it(folder: Path) -> None:
    """Source, config, trial, archive row and commands that give the same figures again."""
    label = best(folder)
    code, trial = accept(folder, f"r/{label}")
    assert (code, trial["accepted"], trial["attempt"], trial["instances"]) == (0, True, 1, 40)
    path = folder / "runs/champions" / PROBLEM / f"r-{label}.py"
    assert trial["kept"] == path.relative_to(folder).as_posix()
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["archive_row"]["heuristic"] == label and record["archive_row"]["test"]["verdict"] == "ok"
    assert record["trial"]["seed"] == 7
    assert accept(folder, f"r/{label}") == (code, trial), "a trial that is made again says the same"
    path.write_text("# another\n")
    other = discover("accept", f"r/{label}", "--seed", "7", cwd=folder)
    assert (other.returncode, "holds another champion" in other.stderr) == (2, True)
    path.write_text(record["archive_row"]["answer"])
    again = discover(*record["reproduce"]["trial"].split()[1:], "--json", cwd=folder)
    assert again.returncode == 0, again.stderr
    gaps = {Path(row["heuristic"]).stem.removeprefix("r-"): row["ratio_gap_pct"] for row in json.loads(again.stdout)}
    assert gaps == pytest.approx(trial["gaps"])
    searched_again = discover(*record["reproduce"]["search"].split()[1:], "--set", "run.name=again", cwd=folder)
    assert searched_again.returncode == 0, searched_again.stderr
    assert [row["heuristic"] for row in board(folder, "again")] == [row["heuristic"] for row in board(folder)]


def test_every_trial_counts_against_the_next(folder: Path) -> None:
    """A refused candidate is on the list; the next trial's p-values and interval pay for it; none is counted twice."""
    worst = str(query(folder, "SELECT number FROM outcome WHERE verdict = 'ok' ORDER BY score DESC")[0][0])
    refused, first = accept(folder, f"r/{worst}", seed=3)
    assert (refused, first["accepted"], first["kept"]) == (1, False, None)
    _, second = accept(folder, f"r/{best(folder)}", seed=4)
    assert second["attempt"] == 2
    against = second["against"][0]
    assert second["corrected_p"][against["rival"]] == pytest.approx(min(1.0, 6 * against["wilcoxon_p"]))
    assert against["level"] == pytest.approx(1 - 0.05 / 6)
    _, again = accept(folder, f"r/{worst}", seed=3)
    assert again == first
    found = trials(PROBLEM, folder / "runs/champions")
    assert [(each["candidate"], each["attempt"]) for each in found] == [(worst, 1), (best(folder), 2)]


def test_a_seed_serves_one_candidate_only(folder: Path) -> None:
    """Instances on which another candidate was judged are not fresh: the seed is refused, nothing is counted."""
    accept(folder, f"r/{best(folder)}", seed=5)
    other = [row["heuristic"] for row in board(folder) if row["origin"] != "baseline"][1]
    result = discover("accept", f"r/{other}", "--seed", "5", cwd=folder)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "leave --seed out" in result.stderr
    assert len(trials(PROBLEM, folder / "runs/champions")) == 1


def test_a_baseline_is_not_accepted(folder: Path) -> None:
    """It would be compared with itself, or with nothing: refused, and not counted."""
    result = discover("accept", "r/spt", cwd=folder)
    assert (result.returncode, "'spt' is a baseline itself" in result.stderr) == (2, True)
    assert not (folder / "runs/champions").exists()


def test_a_damaged_list_of_trials_stops_acceptance(folder: Path) -> None:
    """How many were tried must be known, or the correction is worth nothing."""
    path = folder / "runs/champions" / PROBLEM / TRIALS
    path.parent.mkdir(parents=True)
    path.write_text("{\n")
    result = discover("accept", f"r/{best(folder)}", cwd=folder)
    assert (result.returncode, "restore it" in result.stderr) == (1, True)


def test_later_runs_start_from_champions_and_must_beat_them(folder: Path) -> None:
    """With run.champions a champion is a baseline and on every island; the best of all baselines is the rival."""
    label = best(folder)
    accept(folder, f"r/{label}")
    path = write_config(folder, GENETIC, name="next", candidates=12)
    result = discover("run", path, "--set", "run.champions=true", "--set", "run.seed=6", cwd=folder)
    assert result.returncode == 0, result.stderr
    rows = {row["heuristic"]: row for row in board(folder, "next")}
    assert rows[f"r-{label}"]["origin"] == "baseline"
    found = [row for row in rows.values() if row["comparison"]]
    assert found and {row["comparison"]["rival"] for row in found} == {f"r-{label}"}
    with Archive(folder / "runs/next", "read") as archive:
        assert archive.meta()["champions"] == [f"r-{label}"]
        parents = archive.query("SELECT parents FROM request")
    assert any(f"r-{label}" in row["parents"] for row in parents)
    resumed = discover("resume", "next", "--set", "budget.candidates=16", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr


def test_champions_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """One sentence that says how to get one; nothing is written."""
    result = discover("run", write_config(tmp_path, GENETIC), "--set", "run.champions=true", cwd=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "holds no champion yet; `discover accept CANDIDATE`" in result.stderr
    assert not (tmp_path / "runs").exists()


def standing(folder: Path) -> dict[str, Any]:
    """The only standing of `discover leaderboard --all`."""
    result = discover("leaderboard", "--all", "--limit", "100", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert len(found) == 1
    return found[0]


def test_all_runs_are_ranked_in_one_table(folder: Path) -> None:
    """Best on validation first; baselines and what two runs both found appear once; champions are marked."""
    label = best(folder)
    accept(folder, f"r/{label}")
    for name, seed in (("twin", 5), ("other", 6)):
        result = discover("run", write_config(folder, GENETIC, name=name), "--set", f"run.seed={seed}", cwd=folder)
        assert result.returncode == 0, result.stderr
    found = standing(folder)
    assert found["problem"] == PROBLEM and set(found["runs"]) == {"r", "twin", "other"} and not found["left_out"]
    rows = found["rows"]
    gaps = [row["validation"]["ratio_gap_pct"] for row in rows]
    assert gaps == sorted(gaps)
    assert [row["heuristic"] for row in rows].count("spt") == 1
    assert "twin" not in {row["run"] for row in rows}, "all it found had come up in r"
    marked = [(row["run"], row["heuristic"]) for row in rows if row["origin"].endswith(", accepted")]
    assert marked == [("r", label)]
    assert "3 runs measured alike" in discover("leaderboard", "--all", cwd=folder).stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE instance SET digest = 'x' WHERE split = 'test'", "other instances"),
        ("UPDATE instance SET bound = bound - 1 WHERE split = 'test'", "other bounds"),
        ("UPDATE evaluation SET costs = replace(costs, '[', '[1') WHERE heuristic = 'spt' AND split = 'train'", "spt"),
    ],
)
def test_runs_that_measured_something_else_are_left_out_and_named(folder: Path, change: str, reason: str) -> None:
    """Other instances, other bounds, or another cost of the same baseline: the newest run decides what is shown."""
    import sqlite3

    shutil.copytree(folder / "runs/r", folder / "runs/old")
    with sqlite3.connect(folder / "runs/old/archive.db") as db:
        for table in ("instance", "evaluation", "event"):
            db.execute(f"DROP TRIGGER {table}_no_UPDATE")
        db.execute("UPDATE event SET at = at - 1000")
        db.execute(change)
    found = standing(folder)
    assert found["runs"] == ["r"] and reason in found["left_out"]["old"]
    assert {row["run"] for row in found["rows"]} == {"r"}


def test_all_takes_no_names(folder: Path) -> None:
    """--all beside a run's name is a contradiction."""
    result = discover("leaderboard", "r", "--all", cwd=folder)
    assert (result.returncode, "leave out 'r'" in result.stderr) == (2, True)


def test_a_config_survives_the_way_through_toml() -> None:
    """Nested tables, lists, what is None, quotes and letters of any alphabet: read back, the config is the same."""
    models = [{"model": 'a "b" \\ ü😀', "extra_body": {"top k": 5, "stop": ["\n"]}}, {"model": "c", "weight": 2}]
    config = Config.model_validate(
        {"run": {"problem": "tiny"}, "proposer": {"kind": "openai", "models": models}, "budget": {"money": None}}
    )
    assert Config.model_validate(tomllib.loads(as_toml(config.model_dump(mode="json")))) == config
