"""The last stage of the cascade: winners on the engine, archived and shown; refused early where it cannot be done."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from discovery.archive import Archive
from discovery.engine_scores import EngineReplay, EngineScore
from discovery.engine_table import engine_verdict
from tests.discovery.conftest import discover, write_config
from tests.discovery.runs import write_config as write_tiny

ENGINE = (
    "evaluation.engine=torch", "engine.device=cpu", "engine.requests=10", "engine.concurrency=10", "engine.rounds=1",
    "engine.top_k=1", "engine.max_prompt=64",
)  # fmt: skip
CONDITIONS = {
    "title": "tiny on a CPU", "cost": "normalised latency, s per output token", "on": {"rounds": 3},
    "workload": {"name": "conversation", "requests": 10},
}  # fmt: skip
REPLAY = EngineReplay(
    "torch",
    "{}",
    CONDITIONS,
    (EngineScore("4", 1, 0.01, 0.0095, "", {"a": 1}), EngineScore("fcfs", 2, 0.02, 0.021, "", {})),
)


def arguments(settings: tuple[str, ...]) -> list[str]:
    """Settings as options."""
    return [part for setting in settings for part in ("--set", setting)]


def test_winners_of_another_problem_serve_requests(tmp_path: Path) -> None:
    """An adapted dispatching rule, its best baseline and FCFS: scores archived once, and shown wherever results are."""
    pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")
    config = write_config(tmp_path, candidates=6)
    finished = discover("run", config, *arguments(ENGINE), cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "On the engine (tiny" in finished.stdout
    with Archive(tmp_path / "runs" / "small", "read") as archive:
        replay = archive.engine_replay()
    assert replay is not None
    assert {"policy fcfs", "mddc"} < {score.heuristic for score in replay.scores}
    costs = [score.measured for score in replay.scores]
    assert costs == sorted(costs, key=lambda cost: cost or 0) and all(cost and cost > 0 for cost in costs)
    assert all(score.simulated for score in replay.scores)
    winner = next(score.heuristic for score in replay.scores if score.heuristic.isdecimal())
    board = json.loads(discover("leaderboard", "small", "--json", cwd=tmp_path).stdout)
    row = next(row for row in board if row["heuristic"] == winner)
    assert row["engine"]["measured"] > 0
    shown = json.loads(discover("show", f"small/{winner}", "--json", cwd=tmp_path).stdout)
    assert shown["engine"]["conditions"]["on"]["model"]["name"] == "tiny"
    again = discover("resume", "small", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    with sqlite3.connect(tmp_path / "runs" / "small" / "archive.db") as db:
        assert db.execute("SELECT count(*) FROM engine_replay").fetchone() == (1,)
    repeated = discover("replay", "small", "--set", "run.name=again", cwd=tmp_path)
    assert repeated.returncode == 0, repeated.stderr
    with Archive(tmp_path / "runs" / "again", "read") as archive:
        assert archive.engine_replay() == replay


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("engine.model=no-such", "no-such"),
        ("engine.device=cuda:99", "cuda:99"),
        ("engine.workload=conversatio", "did you mean 'conversation'"),
        ("engine.baselines=['no-such']", "no-such"),
        ("engine.baselines=['layered_prefill', 'broken.py']", "broken.py"),
        ("engine.slo=tight", "choose strict or relaxed, or give TTFT and TPOT"),
        ("engine.top=3", "engine.top"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_run(tmp_path: Path, setting: str, said: str) -> None:
    """A wrong setting of the engine ends the command in one sentence, and no run was made."""
    pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")
    config = write_config(tmp_path)
    (tmp_path / "broken.py").write_text("def rank_waiting(view):")
    finished = discover("run", config, *arguments((*ENGINE, setting)), cwd=tmp_path)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "runs").exists()


def test_a_problem_without_an_adapter_is_refused(tmp_path: Path) -> None:
    """What is found for a problem of the user's own cannot serve requests; the message says what to leave out."""
    config = write_tiny(tmp_path, 'kind = "genetic"')
    finished = discover("run", config, "--set", "evaluation.engine=torch", cwd=tmp_path)
    assert finished.returncode == 2
    assert "leave evaluation.engine out" in finished.stderr


def test_the_archive_keeps_all_replays_and_shows_the_last(small_run: Path, tmp_path: Path) -> None:
    """A replay comes back as it went in; a later one is shown in its place; an archive without the tables has none."""
    source = sqlite3.connect(small_run / "runs" / "small" / "archive.db")
    folder = tmp_path / "copy"
    folder.mkdir()
    with sqlite3.connect(folder / "archive.db") as target:
        source.backup(target)
        target.executescript("DROP TABLE engine_score; DROP TABLE engine_replay;")
    with Archive(folder, "read") as archive:
        assert archive.engine_replay() is None
    with Archive(folder, "append") as archive:
        archive.add_engine_replay(EngineReplay("torch", "first", {}, ()))
        archive.add_engine_replay(REPLAY)
        assert archive.engine_replay() == REPLAY
        assert archive.query("SELECT count(*) AS n FROM engine_replay") == [{"n": 2}]


def test_the_verdict_says_who_is_first() -> None:
    """The best, what it is ahead of, the cost's name and the simulator's word."""
    said = engine_verdict(REPLAY)
    assert "4 is first of 2: 0.01, ahead of fcfs with 0.02" in said
    assert "simulated 0.0095" in said
    assert REPLAY.scores[0].error == pytest.approx(-0.05)
