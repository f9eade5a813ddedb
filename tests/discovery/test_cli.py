import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from problems.registry import BUILT_IN
from tests.discovery.conftest import discover, write_config

EVALUATE_KEYS = {
    "problem", "split", "heuristic", "verdict", "instances", "ratio_gap_pct", "mean_gap_pct", "median_gap_pct",
    "zero_bound_missed", "cpu_ms_per_instance", "bound_kinds", "classes",
}  # fmt: skip


def rows(folder: Path, *arguments: str) -> list[dict[str, object]]:
    """The leaderboard as JSON."""
    result = discover("leaderboard", *arguments, "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_a_run_ends_with_a_leaderboard_and_a_plain_verdict(small_run: Path) -> None:
    """The table shows baselines and discoveries; a sentence says whether the best baseline was beaten on test."""
    output = (small_run / "output.txt").read_text()
    assert "baseline" in output
    assert "genetic: " in output
    assert "all 30 candidates of the budget were tried" in output
    assert "on the held-out test split" in output


def test_the_leaderboard_is_sorted_by_validation_and_names_its_bounds(small_run: Path) -> None:
    """Validation chooses; every score says what kind of bound is behind it; test only for finalists and baselines."""
    board = rows(small_run)
    gaps = [row["validation"]["ratio_gap_pct"] for row in board]  # type: ignore[index]
    assert gaps == sorted(gaps)
    found = [row for row in board if row["origin"] != "baseline"]
    assert found
    assert sum("test" in row for row in found) <= 2
    for row in board:
        assert row["validation"]["bound_kinds"] == {"optimal": 175}  # type: ignore[index]
    assert all(row["comparison"]["rival"] == "mddc" for row in found if "test" in row)  # type: ignore[index]


def test_show_tells_everything_about_a_candidate(small_run: Path) -> None:
    """Source, scores, lineage and answer, as text and as JSON, by number and by RUN/NUMBER."""
    best = next(row["heuristic"] for row in rows(small_run) if row["origin"] != "baseline")
    record = json.loads(discover("show", f"small/{best}", "--json", cwd=small_run).stdout)
    assert "def priority(" in record["source"]
    assert record["validation"]["verdict"] == "ok"
    assert set(record["parents"]) <= set(record["lineage"])
    text = discover("show", str(best), cwd=small_run).stdout
    assert "def priority(" in text
    assert "lineage" in text


def test_show_a_baseline_and_an_unknown_candidate(small_run: Path) -> None:
    """Baselines can be shown by name; what does not exist is bad usage and says what does."""
    assert "def priority" in discover("show", "mddc", cwd=small_run).stdout
    result = discover("show", "small/999", cwd=small_run)
    assert (result.returncode, "no candidate '999'" in result.stderr) == (2, True)


def test_verify_finds_no_difference_and_finds_a_forged_score(small_run: Path, tmp_path: Path) -> None:
    """Scoring again from source agrees to the bit; a cost changed behind the archive's back is reported."""
    assert discover("verify", "small", cwd=small_run).returncode == 0
    shutil.copytree(small_run / "runs" / "small", tmp_path / "forged")
    best = next(row["heuristic"] for row in rows(small_run) if row["origin"] != "baseline")
    with sqlite3.connect(tmp_path / "forged" / "archive.db") as db:
        where = "WHERE split = 'train' AND heuristic = ?"
        db.execute("DROP TRIGGER evaluation_no_UPDATE")
        costs = json.loads(db.execute(f"SELECT costs FROM evaluation {where}", (best,)).fetchone()[0])
        db.execute(f"UPDATE evaluation SET costs = ? {where}", (json.dumps([costs[0] + 1000, *costs[1:]]), best))
    result = discover("verify", tmp_path / "forged", cwd=small_run)
    assert result.returncode == 1
    assert f"DIFFERS {best} on train" in result.stdout


def test_an_export_stands_alone_and_decides_as_scored(small_run: Path, tmp_path: Path) -> None:
    """The module runs without this project and schedules as the archive's candidate does."""
    best = next(row["heuristic"] for row in rows(small_run) if row["origin"] != "baseline")
    assert discover("export", f"small/{best}", tmp_path / "out", cwd=small_run).returncode == 0
    module = tmp_path / "out" / f"smtt_dispatch_{best}.py"
    text = module.read_text()
    assert "Gap to the bounds" in text
    from problems.registry import load_problem

    problem = load_problem("smtt_dispatch")
    instances = problem.split("test")[:60:7]
    lines = "".join(json.dumps({"p": i["p"].tolist(), "d": i["d"].tolist()}) + "\n" for i in instances)
    numpy_only = (
        f"import sys, runpy; sys.path[:] = [p for p in sys.path if p and p != {str(Path.cwd())!r}];"
        f" runpy.run_path({str(module)!r}, run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", numpy_only], input=lines, capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    orders = [np.array(json.loads(line), dtype=np.int64) for line in ran.stdout.splitlines()]
    (small_run / "instances.jsonl").write_text(lines)
    heuristic = tmp_path / "h.py"
    heuristic.write_text(json.loads(discover("show", f"small/{best}", "--json", cwd=small_run).stdout)["source"])
    scored = discover(
        "evaluate", heuristic, "--problem", "smtt_dispatch", "--instances", "instances.jsonl", "--json", cwd=small_run
    )
    ratio = json.loads(scored.stdout)["ratio_gap_pct"]
    costs = sum(problem.cost(instance, order) for instance, order in zip(instances, orders, strict=True))
    bounds = sum(problem.bound(instance).value for instance in instances)
    assert 100 * (costs / bounds - 1) == pytest.approx(ratio)
    again = discover("export", f"small/{best}", tmp_path / "out", cwd=small_run)
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_evaluate_a_baseline_on_a_split(tmp_path: Path) -> None:
    """All promised keys are there, the gap is that of the reference in magnitude, classes are apart."""
    result = discover("evaluate", "mdd", "--problem", "smtt_dispatch", "--split", "validation", "--json", cwd=tmp_path)
    record = json.loads(result.stdout)
    assert set(record) >= EVALUATE_KEYS
    assert (record["verdict"], record["instances"], record["bound_kinds"]) == ("ok", 175, {"optimal": 175})
    assert 0.4 < record["ratio_gap_pct"] < 0.9
    assert set(record["classes"]) == {"n=50", "n=100", "n=200", "robust", "hard", "regular"}


def test_evaluate_own_instances_bounded_on_the_spot(tmp_path: Path) -> None:
    """A hand-solved instance: jobs (p, d) = (2, 2), (1, 2), (3, 3); the optimum is 4, and EDD attains it."""
    (tmp_path / "mine.jsonl").write_text('{"p": [2, 1, 3], "d": [2, 2, 3]}\n\n{"d": [9], "p": [4]}\n')
    result = discover("evaluate", "edd", "--problem", "smtt", "--instances", "mine.jsonl", "--json", cwd=tmp_path)
    record = json.loads(result.stdout)
    assert (record["instances"], record["bound_kinds"]) == (2, {"optimal": 2})
    assert record["ratio_gap_pct"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def priority(p, d, t)\n    return d\n", "bad_source"),
        ("def priorities(p, d, t):\n    return d\n", "bad_source"),
        ("def priority(p, d, t):\n    return d[:-1]\n", "invalid_decision"),
        ("def priority(p, d, t):\n    return 1 / 0\n", "exception"),
        ("def priority(p, d, t):\n    while True: pass\n", "cpu_limit"),
    ],
)
def test_a_failing_heuristic_ends_in_its_verdict_and_exit_code_1(tmp_path: Path, source: str, verdict: str) -> None:
    """JSON still comes out, with the verdict and no gap; the reason is one line on standard error."""
    (tmp_path / "h.py").write_text(source)
    (tmp_path / "mine.jsonl").write_text('{"p": [2, 1, 3], "d": [2, 2, 3]}\n')
    result = discover(
        "evaluate", "h.py", "--problem", "smtt_dispatch", "--instances", "mine.jsonl", "--json", cwd=tmp_path
    )
    record = json.loads(result.stdout)
    assert (result.returncode, record["verdict"], record["ratio_gap_pct"]) == (1, verdict, None)
    assert result.stderr.startswith(f"error: h.py failed: {verdict}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "absent.toml"], "'absent.toml' is no config file"),
        (["run", "broken.toml"], "is not valid TOML"),
        (["run", "demo", "--set", "run.problem=smtt_dispach"], "did you mean 'smtt_dispatch'"),
        (["run", "demo", "--set", "budget.candidate=3"], "did you mean 'candidates'"),
        (["run", "demo", "--set", 'search.seeds=["mdx"]'], "'mdx' is no baseline"),
        (["run", "demo", "--set", "search.operators={reflect=1}"], "operator 'reflect' is not known"),
        (["run", "demo", "--set", 'proposer={kind="openai", model="m", api_key_env="NO_SUCH_KEY"}'], "NO_SUCH_KEY"),
        (["evaluate", "mdd", "--problem", "smtt"], "name either --split"),
        (["evaluate", "mdd", "--problem", "smtt", "--split", "tset"], "has no split 'tset'"),
        (["evaluate", "mxx", "--problem", "smtt", "--split", "test"], "neither a file nor a baseline"),
        (["evaluate", "mdd", "--problem", "smtt", "--instances", "absent.jsonl"], "cannot be read"),
        (
            ["evaluate", "mdd", "--problem", "smtt", "--instances", "lengths.jsonl"],
            "line 2: lists of different lengths",
        ),
        (["evaluate", "mdd", "--problem", "smtt", "--instances", "negative.jsonl"], "'p' of job 1 is -2"),
        (["evaluate", "mdd", "--problem", "smtt", "--instances", "nojson.jsonl"], "line 1: no JSON"),
        (["evaluate", "mdd", "--problem", "smtt", "--instances", "empty.jsonl"], "holds no instance"),
        (["resume", "nothing"], "there is no run 'nothing'"),
        (["leaderboard"], "holds no run yet"),
        (["show", "3"], "holds no run yet"),
        (["verify", "nothing"], "there is no run 'nothing'"),
        (["export", "nothing/3", "out"], "there is no run 'nothing'"),
        (["doctor", "--config", "absent.toml"], "is no config file"),
    ],
)
def test_bad_usage_is_one_clear_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    """No traceback, one line on standard error that names what is wrong, nothing written."""
    (tmp_path / "broken.toml").write_text("[run\n")
    (tmp_path / "lengths.jsonl").write_text('{"p": [1], "d": [1]}\n{"p": [1], "d": [1, 2]}\n')
    (tmp_path / "negative.jsonl").write_text('{"p": [1, -2], "d": [1, 2]}\n')
    (tmp_path / "nojson.jsonl").write_text("p=[1]\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    result = discover(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_an_existing_run_is_refused(small_run: Path) -> None:
    """Running the same named config again changes nothing and points to resume."""
    result = discover("run", "small.toml", cwd=small_run)
    assert result.returncode == 2
    assert "discover resume small" in result.stderr


def test_resuming_a_finished_run_changes_nothing(small_run: Path, tmp_path: Path) -> None:
    """A finished run resumed has the same candidates and the same leaderboard."""
    shutil.copytree(small_run, tmp_path / "copy")
    before = rows(tmp_path / "copy", "small")
    result = discover("resume", "small", cwd=tmp_path / "copy")
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path / "copy", "small") == before


def test_ctrl_c_loses_nothing_and_says_how_to_go_on(tmp_path: Path) -> None:
    """SIGINT ends a run in order with exit code 130; everything committed is there and resume completes it."""
    config = write_config(tmp_path, candidates=60)
    process = subprocess.Popen(
        [sys.executable, "-m", "discovery.cli", "run", str(config)],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for_candidates(tmp_path / "runs" / "small" / "archive.db", 5)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "`discover resume small` goes on" in stderr
    assert "Traceback" not in stderr
    done = discover("resume", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "all 60 candidates" in done.stderr


def test_doctor_and_problems_answer_in_text_and_json(tmp_path: Path) -> None:
    """Doctor names Python, cores, isolation, solvers, GPU, engines and endpoint; problems lists the built-in ones."""
    report = json.loads(discover("doctor", "--json", cwd=tmp_path).stdout)
    for name in (
        "python",
        "cores",
        "isolation",
        "MIP solver (HiGHS)",
        "GPU",
        "engine torch",
        "engine vllm",
        "endpoint",
    ):
        assert report[name]
    assert "isolation" in discover("doctor", cwd=tmp_path).stdout
    listed = json.loads(discover("problems", "--json", cwd=tmp_path).stdout)
    assert [problem["problem"] for problem in listed] == list(BUILT_IN)


def wait_for_candidates(path: Path, count: int) -> None:
    """Wait until a running search has committed `count` candidates."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file():
            try:
                with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
                    if db.execute("SELECT count(*) FROM outcome").fetchone()[0] >= count:
                        return
            except sqlite3.OperationalError:
                pass
        time.sleep(0.02)
    raise AssertionError("the run did not get going")


def test_a_run_refuses_a_weaker_tier_than_its_config_demands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the machine offers less than `min_isolation`, nothing is written and the remedy is named."""
    from discovery import create
    from discovery.config import load_config
    from evaluators.sandbox.supervisor import Sandbox
    from evaluators.sandbox.tiers import IsolationUnavailable, Layer

    class Weak(Sandbox):
        """A sandbox on a machine without seccomp."""

        def __init__(self, *, min_tier: str) -> None:
            super().__init__(min_tier=min_tier, layers=~Layer.SECCOMP)

    monkeypatch.setattr(create, "Sandbox", Weak)
    settings = ["evaluation.min_isolation=no-namespaces", f"run.folder={json.dumps(str(tmp_path / 'runs'))}"]
    config, stem = load_config("demo", settings)
    with pytest.raises(IsolationUnavailable, match="offers isolation 'rlimits-only'"):
        create.create(config, stem, print)
    assert not (tmp_path / "runs").exists()


def test_the_tier_is_in_the_record_and_on_the_leaderboard(small_run: Path) -> None:
    """Every row and the table say in which isolation the run was evaluated."""
    tiers = {row["isolation"] for row in rows(small_run)}
    assert tiers <= {"full", "no-namespaces", "rlimits-only"}
    assert f"isolation: {tiers.pop()}" in (small_run / "output.txt").read_text()


def test_a_baseline_can_be_exported(small_run: Path, tmp_path: Path) -> None:
    """Baselines are heuristics too."""
    result = discover("export", "mddc", tmp_path, cwd=small_run)
    assert result.returncode == 0, result.stderr
    assert "def priority" in (tmp_path / "smtt_dispatch_mddc.py").read_text()


def test_an_export_keeps_future_imports_first() -> None:
    """A heuristic with a docstring and `from __future__` gives a module that compiles."""
    from discovery.commands.export import split_future

    source = '"""Mine."""\n\nfrom __future__ import (\n    annotations,\n)\n\nimport numpy as np\n'
    future, rest = split_future(source)
    assert future == "from __future__ import (\n    annotations,\n)\n"
    compile('"""Header."""\n' + future + rest, "exported", "exec")
    assert split_future("import numpy as np\n") == ("from __future__ import annotations\n", "import numpy as np\n")


@pytest.mark.parametrize("label", ["²", "99999999999999999999", "-1"])
def test_odd_labels_are_bad_usage(small_run: Path, label: str) -> None:
    """What looks like a number and is none does not crash."""
    result = discover("show", f"small/{label}", cwd=small_run)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_compare_keeps_files_of_the_same_name_apart(tmp_path: Path) -> None:
    """Two files called h.py in two folders are two columns."""
    for folder, rule in (("a", "p"), ("b", "d")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "h.py").write_text(f"def priority(p, d, t):\n    return {rule}\n")
    arguments = ["a/h.py", "b/h.py", "--problem", "smtt_dispatch", "--split", "train", "--json"]
    records = json.loads(discover("compare", *arguments, cwd=tmp_path).stdout)
    assert [record["heuristic"] for record in records] == ["a/h.py", "b/h.py"]
    assert records[0]["ratio_gap_pct"] != records[1]["ratio_gap_pct"]


def test_a_run_of_an_earlier_version_is_shown_resumed_and_replayed(small_run: Path, tmp_path: Path) -> None:
    """Archives from before calls were journalled: leaderboard, show, replay, and resume with a larger budget."""
    from tests.discovery.test_archive import age

    shutil.copytree(small_run, tmp_path, dirs_exist_ok=True)
    before = rows(tmp_path, "small")
    age(tmp_path / "runs" / "small")
    assert rows(tmp_path, "small") == before
    assert "verdict:" in discover("show", "small/0", cwd=tmp_path).stdout
    replayed = discover("replay", "small", "--set", "run.name=again", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    result = discover("resume", "small", "--set", "budget.candidates=32", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "all 32 candidates" in result.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("run.seed=4", "a run that has begun can change"),
        ("budget.tokns=4", "did you mean 'tokens'?"),
        ("proposer.kind=openai", "from openai to batch or back only"),
    ],
)
def test_an_amendment_that_is_refused_changes_nothing(small_run: Path, tmp_path: Path, setting: str, said: str) -> None:
    """One sentence, exit code 2, and the config in force is the old one."""
    shutil.copytree(small_run, tmp_path, dirs_exist_ok=True)
    result = discover("resume", "small", "--set", setting, cwd=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said in result.stderr
    with sqlite3.connect(tmp_path / "runs" / "small" / "archive.db") as db:
        assert db.execute("SELECT count(*) FROM event WHERE kind = 'amended'").fetchone() == (0,)
