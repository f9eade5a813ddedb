"""Runs replayed from their archives with the real command: the same leaderboard, offline and at no cost."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.conftest import discover
from tests.discovery.runs import board, history, query, reply, write_config
from tests.discovery.tiny_run import PROBLEM
from tests.endpoint import completion, endpoint

CANDIDATES = 10
CASSETTE = Path(__file__).parents[1] / "cassettes" / "qwen"
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "OPENAI_API_KEY": ""}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recorded runs, `genetic` and `llm`, whose endpoint is gone; tests copy what they change."""
    folder = tmp_path_factory.mktemp("recorded")
    config = write_config(folder, 'kind = "genetic"', name="genetic", candidates=CANDIDATES, search="islands = 1")
    assert discover("run", config, cwd=folder).returncode == 0
    with endpoint(lambda number, request: completion(reply(request["messages"][0]["content"]))) as server:
        proposer = f'kind = "openai"\nmodel = "mock"\nbase_url = "{server.url}"\ninput_price = 1'
        config = write_config(folder, proposer, name="llm", candidates=CANDIDATES, search="islands = 1")
        assert discover("run", config, cwd=folder).returncode == 0
    return folder


def replay(folder: Path, run: str, name: str, *settings: str) -> Any:
    """Replay a run under another name."""
    arguments = [part for setting in (f"run.name={name}", *settings) for part in ("--set", setting)]
    return discover("replay", run, *arguments, cwd=folder, **NO_NETWORK)


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A leaderboard without what a clock measured."""
    text = json.dumps(rows)
    found: list[dict[str, Any]] = json.loads(text)
    for row in found:
        for split in ("train", "validation", "test"):
            if split in row:
                assert row[split].pop("cpu_ms_per_instance") > 0
    return found


@pytest.mark.parametrize("run", ["genetic", "llm"])
def test_a_replay_gives_the_identical_leaderboard(recorded: Path, tmp_path: Path, run: str) -> None:
    """Every row and every figure, measured times included, from recorded answers; a replay of the replay too."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    for source, name in ((run, "again"), ("again", "thrice")):
        result = replay(tmp_path, source, name)
        assert result.returncode == 0, result.stderr
        assert board(tmp_path, name) == board(recorded, run)
        assert history(tmp_path, name) == history(recorded, run)
        assert query(tmp_path, "SELECT count(*) FROM call", name) == [(0,)], "a replay makes no calls"
    assert len(board(recorded, run)) > 2
    timed = "SELECT heuristic, split, cpu_seconds FROM evaluation WHERE split != 'probe' ORDER BY heuristic, split"
    assert query(tmp_path, timed, "thrice") == query(recorded, timed, run)


def test_a_replay_by_default_has_a_name_of_its_own(recorded: Path, tmp_path: Path) -> None:
    """Without a name it is called after the run, and the recording is not touched."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    before = (tmp_path / "runs" / "llm" / "archive.db").read_bytes()
    result = discover("replay", "llm", "--json", cwd=tmp_path, **NO_NETWORK)
    assert result.returncode == 0, result.stderr
    assert [path.name.rpartition("-replay")[0] for path in (tmp_path / "runs").glob("llm-*")] == ["llm"]
    assert json.loads(result.stdout)[0]["run"].startswith("llm-replay-")
    assert (tmp_path / "runs" / "llm" / "archive.db").read_bytes() == before


def test_measured_again_only_times_differ(recorded: Path, tmp_path: Path) -> None:
    """With measurements = "again" the recorded answers are evaluated afresh: same gaps, same order."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    result = replay(tmp_path, "llm", "again", "proposer.measurements=again", "evaluation.workers=1")
    assert result.returncode == 0, result.stderr
    ours, theirs = board(tmp_path, "again"), board(recorded, "llm")
    assert ours != theirs, "the times were measured anew"
    assert without_times(ours) == without_times(theirs)
    assert history(tmp_path, "again") == history(recorded, "llm")


def test_a_replay_that_was_killed_goes_on(recorded: Path, tmp_path: Path) -> None:
    """Resumed in the middle, it ends with the identical leaderboard: nobody gets another's measurements."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    result = replay(tmp_path, "llm", "again")
    assert result.returncode == 0, result.stderr
    cut = tmp_path / "runs" / "again" / "archive.db"
    with sqlite3.connect(cut) as db:  # as if killed at the sixth candidate, before anything was validated
        for table in ("request", "answer", "outcome"):
            db.execute(f"DROP TRIGGER {table}_no_DELETE")
            db.execute(f"DELETE FROM {table} WHERE number >= 6")
        for table in ("evaluation", "comparison"):
            db.execute(f"DROP TRIGGER {table}_no_DELETE")
            db.execute(f"DELETE FROM {table} WHERE split IN ('validation', 'test') OR CAST(heuristic AS INTEGER) >= 6")
    db.close()
    result = discover("resume", "again", cwd=tmp_path, **NO_NETWORK)
    assert result.returncode == 0, result.stderr
    assert board(tmp_path, "again") == board(recorded, "llm")


@pytest.mark.parametrize("setting", ["run.seed=6", "search.operators={create=1}", "search.seeds=[]"])
def test_another_config_is_refused_in_one_sentence(recorded: Path, tmp_path: Path, setting: str) -> None:
    """A replay that asks for something else than the recording has says so, and what to do."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    result = replay(tmp_path, "genetic", "other", setting)
    assert result.returncode == 1, result.stderr
    assert "but the recording" in result.stderr and "replay it with the config" in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in result.stderr


def test_the_end_of_the_recording_ends_the_run(recorded: Path, tmp_path: Path) -> None:
    """With a larger budget the replay ends where the recording does, and says so."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    result = replay(tmp_path, "llm", "again", "budget.candidates=99")
    assert result.returncode == 0, result.stderr
    assert f"ends after {CANDIDATES} candidates" in result.stderr
    assert board(tmp_path, "again") == board(recorded, "llm")


def test_answers_that_were_never_judged_are_not_part_of_the_recording(recorded: Path, tmp_path: Path) -> None:
    """A run stopped with paid answers under way: the replay ends at its last candidate."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    path = tmp_path / "runs" / "llm" / "archive.db"
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO request SELECT 10, at, island, operator, parents, prompt FROM request WHERE number = 9")
        db.execute("INSERT INTO answer SELECT 10, at, model, text, 'x', 1, 1, 0, 0 FROM answer WHERE number = 9")
    db.close()
    result = replay(tmp_path, "llm", "again", "budget.candidates=11")
    assert result.returncode == 0, result.stderr
    assert "ends after 10 candidates" in result.stderr


def test_other_instances_are_refused(recorded: Path, tmp_path: Path) -> None:
    """Recorded costs mean nothing for a problem that has changed since."""
    source = PROBLEM.read_text().replace("integers(1, 21, 6)", "integers(1, 22, 6)")
    assert source != PROBLEM.read_text()
    (tmp_path / "changed.py").write_text(
        source.replace('Path(__file__).parent / "tiny_baselines"', "None").replace('("spt",)', "()")
    )
    result = replay(recorded, "llm", "changed", f"run.problem={tmp_path / 'changed.py'}:Tiny", f"run.folder={tmp_path}")
    assert result.returncode == 2, result.stderr
    assert "split is not the one the recording" in result.stderr


def test_replaying_nothing_is_bad_usage(tmp_path: Path) -> None:
    """No such run, by command or by config: exit code 2."""
    assert "there is no run 'nothing'" in discover("replay", "nothing", cwd=tmp_path).stderr
    result = discover("run", write_config(tmp_path, 'kind = "replay"\nrun = "nothing"'), cwd=tmp_path)
    assert (result.returncode, "holds no run" in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "runs").exists()


def test_the_cassette_replays(tmp_path: Path) -> None:
    """A small run with a real model, recorded once, gives its leaderboard again, offline, with this version."""
    (tmp_path / "runs").mkdir()
    shutil.copytree(CASSETTE, tmp_path / "runs" / "qwen")
    result = replay(tmp_path, "qwen", "again")
    assert result.returncode == 0, result.stderr
    assert board(tmp_path, "again") == board(tmp_path, "qwen")
    told = "SELECT number, text, source, verdict, outcome.detail, score FROM answer JOIN outcome USING (number)"
    assert query(tmp_path, told, "again") == query(tmp_path, told, "qwen")
    assert len(query(tmp_path, told, "qwen")) >= 8
    assert len(board(tmp_path, "qwen")) > 2
