"""Killing runs with SIGKILL, and what is left of them."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.discovery.conftest import discover, write_config
from tests.discovery.test_cli import wait_for_candidates

CANDIDATES = 40


def history(folder: Path) -> list[tuple[object, ...]]:
    """Everything about a run's candidates that must not depend on timing."""
    with sqlite3.connect(folder / "runs" / "small" / "archive.db") as db:
        return db.execute(
            "SELECT number, island, operator, parents, source, outcome.verdict, outcome.detail, score,"
            " outcome.signature, costs"
            " FROM request JOIN answer USING (number) JOIN outcome USING (number)"
            " LEFT JOIN evaluation ON heuristic = CAST(number AS TEXT) AND split = 'train' ORDER BY number"
        ).fetchall()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """The history of the run when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    result = discover("run", write_config(folder, candidates=CANDIDATES), cwd=folder)
    assert result.returncode == 0, result.stderr
    return history(folder)


def test_a_seed_gives_the_same_run_twice(undisturbed: list[tuple[object, ...]], tmp_path: Path) -> None:
    """Same seed, other number of workers, other timing: the same candidates, parents, verdicts and costs."""
    config = write_config(tmp_path, candidates=CANDIDATES)
    result = discover("run", config, "--set", "evaluation.workers=1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert history(tmp_path) == undisturbed


def test_another_seed_gives_another_run(undisturbed: list[tuple[object, ...]], tmp_path: Path) -> None:
    """The seed matters: the comparison above can fail."""
    config = write_config(tmp_path, candidates=CANDIDATES)
    discover("run", config, "--set", "run.seed=4", cwd=tmp_path)
    assert history(tmp_path) != undisturbed


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_a_run_ends_as_if_undisturbed(
    undisturbed: list[tuple[object, ...]], tmp_path: Path, seed: int
) -> None:
    """SIGKILL at random moments, then resume: nothing committed is lost or changed, and the end is the same."""
    rng = random.Random(seed)
    config = write_config(tmp_path, candidates=CANDIDATES)
    kept: list[tuple[object, ...]] = []
    command = ["run", str(config)]
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "discovery.cli", *command],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        wait_for_candidates(tmp_path / "runs" / "small" / "archive.db", min(len(kept) + 2, CANDIDATES))
        time.sleep(rng.random() * 0.4)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        after = history(tmp_path)
        assert after[: len(kept)] == kept
        kept = after
        command = ["resume", "small"]
    result = discover("resume", "small", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert history(tmp_path) == undisturbed


def test_nothing_outlives_a_killed_run(tmp_path: Path) -> None:
    """Workers, zygotes and candidates end when the main process is killed, even in the middle of a candidate."""
    config = write_config(tmp_path, candidates=CANDIDATES)
    process = subprocess.Popen(
        [sys.executable, "-m", "discovery.cli", "run", str(config)],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_for_candidates(tmp_path / "runs" / "small" / "archive.db", 3)
    family = descendants(process.pid)
    assert len(family) >= 4, "two workers and two zygotes were expected"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(alive(pid) for pid in family):
        time.sleep(0.05)
    assert not [pid for pid in family if alive(pid)]


def descendants(root: int) -> list[int]:
    """All processes below `root`, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, frontier = [], [root]
    while frontier:
        parent = frontier.pop()
        children = [pid for pid, above in parents.items() if above == parent]
        family += children
        frontier += children
    return family


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_answer_that_was_paid_for_is_not_asked_again(tmp_path: Path) -> None:
    """Killed between answer and evaluation, the run takes the recorded answer: the endpoint sees no second call."""
    from tests.endpoint import MDD_LIKE, completion, endpoint

    asked: list[str] = []

    def answer(number: int, request: dict[str, object]) -> object:
        asked.append(json.dumps(request))
        return completion(MDD_LIKE.format(c=1 + number / 100))

    with endpoint(answer) as server:  # type: ignore[arg-type]
        config = write_config(tmp_path, candidates=20)
        with config.open("a") as file:
            file.write(f'\n[proposer]\nkind = "openai"\nmodel = "mock"\nbase_url = "{server.url}"\n')
            file.write("\n[search.operators]\ntune = 0\n")  # which asks nobody
        process = subprocess.Popen(
            [sys.executable, "-m", "discovery.cli", "run", str(config)],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        path = tmp_path / "runs" / "small" / "archive.db"
        wait_for_candidates(path, 4)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with sqlite3.connect(path) as db:
            answered = db.execute("SELECT count(*) FROM answer").fetchone()[0]
        calls = len(asked)
        result = discover("resume", "small", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert len(asked) - calls == 20 - answered
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*), count(DISTINCT number) FROM answer").fetchone() == (20, 20)


def test_only_a_replay_leaves_it_to_the_system_when_rows_reach_the_disk(tmp_path: Path) -> None:
    """What was paid for survives a power cut (synchronous = FULL, 2); a replay, which is free, need not (NORMAL, 1)."""
    import asyncio

    from discovery.archive import Archive
    from discovery.session import Observers, run

    assert discover("run", write_config(tmp_path, candidates=4), cwd=tmp_path).returncode == 0
    assert discover("replay", "small", "--set", "run.name=again", cwd=tmp_path).returncode == 0
    observers = Observers(lambda phase: None, lambda candidate: None, lambda spending: None)
    for name, level in (("small", 2), ("again", 1)):
        with Archive(tmp_path / "runs" / name, "append") as archive:
            asyncio.run(run(archive, observers))
            assert archive.query("PRAGMA synchronous") == [{"synchronous": level}]
