"""Studies, with the real command, on the tiny problem."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from discovery.archive import Archive
from discovery.errors import UsageError
from discovery.study.arms import arms_of
from discovery.study.curves import Course, axis_of, checkpoints, course_of, summarise
from tests.discovery.conftest import discover
from tests.discovery.runs import reply, write_config
from tests.discovery.tiny_run import start, wait_until
from tests.endpoint import completion, endpoint

GENETIC = 'kind = "genetic"'
PNG = b"\x89PNG\r\n"


def study(folder: Path, *arguments: str) -> dict[str, Any]:
    """The results of a study."""
    result = discover("study", *arguments, "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def evaluations(folder: Path) -> list[tuple[str, float]]:
    """When each run of the study `r` was measured: a run that is made again would differ."""
    found = []
    for path in sorted((folder / "runs/studies/r").glob("*/archive.db")):
        with sqlite3.connect(path) as db:
            found += [(path.parent.name, at) for (at,) in db.execute("SELECT at FROM evaluation ORDER BY at")]
    return found


def test_a_study_compares_its_arms_with_the_first(tmp_path: Path) -> None:
    """A run per arm and seed; gaps never rise along a row; table, results and plot say what JSON says."""
    write_config(tmp_path, GENETIC, candidates=30)
    command = ("r.toml", "--seeds", "2", "--shapes", "--arm", "one island: search.islands=1")
    found = study(tmp_path, *command)
    assert [arm["arm"] for arm in found["arms"]] == ["r", "one island", "best-of-N", "greedy"]
    assert found["axis"] == "candidates"
    for arm in found["arms"]:
        gaps = [median["value"] for median in arm["after"].values()]
        assert arm["seeds"] == [1, 2] and list(arm["after"]) == ["25", "30"]
        assert gaps == sorted(gaps, reverse=True)
        assert (arm["difference"] is None) == (arm["arm"] == "r")
        assert [len(run["gaps"]) for run in found["runs"][arm["arm"]]] == [30, 30]
    folder = tmp_path / "runs/studies/r"
    assert json.loads((folder / "results.json").read_text()) == found
    assert (folder / "gap.png").read_bytes().startswith(PNG)
    with Archive(folder / "greedy-2", "read") as archive:
        assert {row["operator"] for row in archive.query("SELECT operator FROM request")} == {"mutate"}
    before = evaluations(tmp_path)
    table = discover("study", *command, cwd=tmp_path).stdout
    assert "best-of-N" in table and "difference" in table
    assert evaluations(tmp_path) == before, "runs that had ended were made again"


def test_a_search_that_starts_from_nothing_has_no_gap_at_first(tmp_path: Path) -> None:
    """Without seeds there is no gap before the first candidate: JSON says null, and table and plot are made."""
    write_config(tmp_path, GENETIC, candidates=6)
    found = study(tmp_path, "r.toml", "--seeds", "1", "--set", "search.seeds=[]")
    assert found["runs"]["r"][0]["start"] is None
    assert found["arms"][0]["after"]["6"]["value"] >= 0
    assert (tmp_path / "runs/studies/r/gap.png").read_bytes().startswith(PNG)


def test_a_study_goes_on_after_a_kill(tmp_path: Path) -> None:
    """Killed amid a run, and one run amid its set-up: the same command makes what is missing and nothing else."""
    write_config(tmp_path, GENETIC, candidates=40)
    command = ("study", "r.toml", "--seeds", "2", "--json")
    process = start(tmp_path, *command)
    first = tmp_path / "runs/studies/r/r-1"
    wait_until((first / "archive.db").is_file)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    half = tmp_path / "runs/studies/r/r-2"
    half.mkdir(exist_ok=True)
    (half / "archive.db").touch()
    found = study(tmp_path, *command[1:-1])
    assert found["arms"][0]["seeds"] == [1, 2]
    alone = tmp_path / "alone"
    alone.mkdir()
    write_config(alone, GENETIC, candidates=40)
    undisturbed = study(alone, *command[1:-1])
    assert undisturbed["arms"][0]["after"] == found["arms"][0]["after"]


def test_a_study_can_be_given_a_larger_budget_but_no_other_setting(tmp_path: Path) -> None:
    """More candidates continue the runs that are there; anything else would mix two studies, and is refused."""
    write_config(tmp_path, GENETIC, candidates=10)
    study(tmp_path, "r.toml", "--seeds", "1")
    more = study(tmp_path, "r.toml", "--seeds", "1", "--set", "budget.candidates=15")
    assert list(more["arms"][0]["after"]) == ["15"]
    refused = discover("study", "r.toml", "--seeds", "1", "--set", "search.islands=3", cwd=tmp_path)
    assert (refused.returncode, "another search.islands (2, now 3)" in refused.stderr) == (2, True)


def test_models_are_compared_by_calls(tmp_path: Path) -> None:
    """Where every run makes calls, gaps stand against calls; candidates that needed none do not move them on."""

    def answer(_: int, request: dict[str, Any]) -> Any:
        return completion(reply(request["messages"][0]["content"]), 100, 20)

    with endpoint(answer) as served:
        lines = f'kind = "openai"\nmodel = "mock"\nbase_url = "{served.url}"\nlessons = 0'
        write_config(tmp_path, lines, candidates=100, budget="calls = 6")
        found = study(tmp_path, "r.toml", "--seeds", "1", "--shapes", "--set", "proposer.concurrency=1")
        assert len(served.calls) == 18
    assert found["axis"] == "calls"
    assert [arm["calls"] for arm in found["arms"]] == [6, 6, 6]
    assert [arm["tokens"] for arm in found["arms"]] == [720, 720, 720]
    with Archive(tmp_path / "runs/studies/r/r-1", "read") as archive:
        course = course_of(archive)
        tuned = archive.query("SELECT count(*) AS n FROM answer WHERE model = 'tuner'")[0]["n"]
    assert len(course.calls) == 6 + tuned and list(course.calls) == sorted(course.calls)


def test_every_operator_and_part_is_an_arm_of_an_ablation() -> None:
    """Each is off in one arm, the others as they were; what is off already, or unknown to the proposer, is none."""
    arms = arms_of(["demo"], ["search.bandit=false"], [], ablate=True, shapes=False)
    names = [arm.name for arm in arms]
    assert names[0] == "demo" and "without bandit" not in names and "without lessons" not in names
    assert {"without crossover", "without tune", "without cells", "without same_code"} <= set(names)
    cells = next(arm for arm in arms if arm.name == "without cells").load()
    assert (cells.search.cells, cells.search.bandit, cells.search.same_code) == (0.0, False, True)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (["fast"], "expected 'NAME: key=value key=value'"),
        (["a: search.islands=1", "a: search.islands=3"], "two arms of the study are called 'a'"),
        (["a: search.iland=1"], "unknown key .search.iland.; did you mean .islands."),
    ],
)
def test_arms_that_make_no_sense_are_refused(tmp_path: Path, own: list[str], said: str) -> None:
    """One sentence each."""
    path = str(write_config(tmp_path, GENETIC))
    with pytest.raises(UsageError, match=said):
        for arm in arms_of([path], [], own, ablate=False, shapes=False):
            arm.load()


def course(seed: int, calls: list[int], gaps: list[float]) -> Course:
    """A made-up course that starts at a gap of 9 %."""
    return Course(seed, 9.0, tuple(calls), tuple(gaps), 1.0, 1.0, 10, 0.0, None)


def test_a_gap_holds_until_a_better_one_is_found() -> None:
    """Before the first answer it is that of the best seed; candidates of one call all count after it."""
    found = course(1, [1, 1, 3], [8.0, 7.0, 6.0])
    assert [found.gap_after(calls, "calls") for calls in range(5)] == [9.0, 7.0, 7.0, 6.0, 6.0]
    assert [found.gap_after(judged, "candidates") for judged in range(5)] == [9.0, 8.0, 7.0, 6.0, 6.0]


def test_differences_are_of_equal_seeds() -> None:
    """Runs are paired with those of the first arm by seed, not by order."""
    courses = {"a": [course(1, [1], [5.0]), course(2, [1], [3.0])], "b": [course(2, [1], [4.0]), course(1, [1], [6.0])]}
    a, b = summarise(courses, "calls")
    assert a.difference is None and b.difference is not None
    assert (b.difference.value, b.difference.low, b.difference.high) == (1.0, 1.0, 1.0)
    assert a.after[1].value == 4.0 and (a.after[1].low, a.after[1].high) == (3.0, 5.0)


def test_checkpoints_and_axis() -> None:
    """The last four of 25, 50, 100 … and the end; candidates where not every run made calls."""
    assert checkpoints(50) == [25, 50]
    assert checkpoints(7) == [7]
    assert checkpoints(300) == [50, 100, 200, 300]
    assert axis_of([course(1, [1], [5.0])]) == "calls"
    assert axis_of([course(1, [1], [5.0]), course(1, [0], [5.0])]) == "candidates"
