"""`discover bench` through the real command, and the parts that the command does not show."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discovery.bench.columns import COLUMNS, by_rate
from discovery.bench.contenders import find_contender
from discovery.bench.plots import frontier
from discovery.bench.running import Result, by_capacity, capacities, run_all
from discovery.bench.scene import Scene, set_scene
from discovery.commands.bench import Asked, bench, parse_error, parse_rates
from discovery.errors import UsageError
from engine_bridge.traces import write_jsonl
from engine_bridge.workload import Workload
from problems.serving.instances import SETTINGS, instance_of
from tests.discovery.conftest import discover
from tests.engine_bridge.traffic import make_workload

PNG = b"\x89PNG\r\n\x1a\n"
SHORTEST = "def rank_waiting(view):\n    return view.predicted\n"
DEFAULTS: dict[str, Any] = {"requests": 30, "seed": 0, "slo": None, "profile": "h200-llama3-8b", "max_prompt": None}


def scene_of(source: str | Path, **options: Any) -> Scene:
    """A scene with the command's defaults."""
    return set_scene(str(source), **{"error": None, **DEFAULTS, **options})


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the policy `mine.py`, which is SJF in the user's own words, and the results of a benchmark."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "mine.py").write_text(SHORTEST)
    arguments = ["bench", "fcfs", "sjf", "mine.py", "--workload", "code", "--requests", "120", "--rate", "40,4"]
    finished = discover(*arguments, "--out", "out", cwd=folder)
    assert finished.returncode == 0, finished.stderr
    (folder / "output.txt").write_text(finished.stdout)
    return folder


def test_a_table_names_what_it_must_not_be_read_without(mine: Path) -> None:
    """Workload, SLOs, predictions, engine and whose clock it is; isolation; one row a policy and rate; winners."""
    text = (mine / "output.txt").read_text()
    for said in (
        "code · 120 requests · strict SLOs · predictions with log-normal error, sigma 0.5",
        "engine sim · clock: h200-llama3-8b, derived, not measured",
        "sealed policies: isolation",
        "highest rate tried with 90 % within SLOs",
    ):
        assert said in text
    rows = [line for line in text.splitlines() if re.match(r"^\s+(\d+\s+)?(fcfs|sjf|mine\.py)\s", line)]
    assert len(rows) == 6
    assert all("*" in row for row in rows[3:] if "fcfs" not in row)


def test_a_file_runs_sealed_and_decides_as_the_baseline(mine: Path) -> None:
    """The same rule, trusted and sealed, gives the same simulated figures on the same requests; rates ascend."""
    record = json.loads((mine / "out" / "results.json").read_text())
    assert [(each["policy"], each["rate"]) for each in record["results"]] == [
        (name, rate) for rate in (4.0, 40.0) for name in ("fcfs", "sjf", "mine.py")
    ]
    assert record["isolation"] in ("full", "no-namespaces", "rlimits-only")
    baseline, own = (each for each in record["results"] if each["rate"] == 40 and each["policy"] != "fcfs")
    assert (baseline["sealed"], own["sealed"]) == (False, True)
    assert {**baseline["metrics"], "scheduler_us": 0} == {**own["metrics"], "scheduler_us": 0}
    assert own["metrics"]["scheduler_us"] > 0 and own["metrics"]["invalid"] == 0
    fcfs = record["results"][3]["metrics"]
    assert fcfs["ttft"]["mean"] > baseline["metrics"]["ttft"]["mean"]
    assert set(record["capacity"]["rates"]) == {"fcfs", "sjf", "mine.py"}


def test_the_report_is_one_page_with_all_that_is_in_the_folder(mine: Path) -> None:
    """The plots are embedded as they lie beside it, nothing is loaded from elsewhere, and the command is on it."""
    page = (mine / "out" / "report.html").read_text()
    embedded = [b64decode(text) for text in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert embedded == [(mine / "out" / name).read_bytes() for name in ("attainment.png", "frontier.png")]
    assert all(picture.startswith(PNG) for picture in embedded)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "discover bench fcfs sjf mine.py --workload code" in page
    assert all(column.heading in page for column in COLUMNS)
    assert page.count("<tbody>") == 4 and 'class="best"' in page
    assert "Oracle" not in page


def test_json_and_oracle_on_a_trace_of_ones_own(tmp_path: Path) -> None:
    """A trace file with its own SLOs keeps them; what is an oracle is called so; --slo replaces the SLOs."""
    write_jsonl(make_workload(n=30, client=np.arange(30) % 3), tmp_path / "own.jsonl")
    result = discover("bench", "fcfs", "--workload", "own.jsonl", "--oracle", "--json", cwd=tmp_path)
    record = json.loads(result.stdout)
    assert (record["slo"]["level"], record["slo"]["ttft_median_s"], record["slo"]["tpot_median_s"]) == ("given", 1, 0.1)
    assert record["workload"]["oracle"] and record["workload"]["predictions"] == "oracle: true output lengths"
    assert record["results"][0]["rate"] is None
    assert 1 <= record["results"][0]["metrics"]["fairness"] < 10
    assert (scene_of(tmp_path / "own.jsonl", slo="relaxed").workload.ttft > 1).any()


def test_heuristics_of_other_problems_serve(small_run: Path) -> None:
    """A champion of a run by its number, and a baseline of another problem, are adapted and run sealed."""
    arguments = ("--workload", "code", "--requests", "60", "--rate", "30", "--json")
    result = discover("bench", "small/1", "smtt_dispatch:mdd", "fcfs", *arguments, cwd=small_run)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["results"]
    assert [row["policy"] for row in rows] == ["small/1", "smtt_dispatch:mdd", "fcfs"]
    assert [row["origin"] for row in rows] == ["heuristic for smtt_dispatch"] * 2 + ["baseline"]
    assert rows[1]["metrics"]["asked_steps"] > 0


def test_a_policy_that_fails_is_done_without_and_named(tmp_path: Path) -> None:
    """In service an invalid answer ends nothing: the engine goes on, and the warning says what the first was."""
    (tmp_path / "faulty.py").write_text("def rank_waiting(view):\n    return view.nothing\n")
    arguments = ("--workload", "code", "--requests", "30", "--rate", "40", "--json")
    result = discover("bench", "faulty.py", "fcfs", *arguments, cwd=tmp_path)
    assert result.returncode == 0
    faulty, fcfs = (row["metrics"] for row in json.loads(result.stdout)["results"])
    assert faulty["invalid"] > 0 and faulty["ttft"] == fcfs["ttft"]
    assert re.search(r"warning: faulty.py at 40/s: \d+ invalid answers.*no field 'nothing'", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fcsf", "--workload", "code"), "did you mean 'fcfs'?"),
        (("bad.py", "--workload", "code", "--rate", "3"), "policy 'bad.py': bad_source: SyntaxError"),
        (("fcfs", "--workload", "broken.jsonl"), "broken.jsonl, line 1: the line is"),
        (("fcfs", "--workload", "code", "--rate", "4,0"), "'0' is no rate; give arrivals per second above 0"),
    ],
)
def test_bad_use_ends_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, one line, no traceback, nothing written."""
    (tmp_path / "bad.py").write_text("def rank_waiting(view:\n")
    (tmp_path / "broken.jsonl").write_text('{"arrival": 0, "prompt": 10}\n')
    result = discover("bench", *arguments, "--json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["fcfs"], {"source": "conv"}, "there is no workload 'conv'; did you mean 'conversation'?"),
        (["fcfs"], {"source": "nosuch.csv"}, "no workload nosuch.csv: it is no file"),
        (["fcfs"], {"engine": "simulator"}, "there is no engine 'simulator'; did you mean 'sim'?"),
        (["fcfs"], {"engine": "simm"}, "there is no engine 'simm'; did you mean 'sim'?"),
        (["fcfs"], {"slo": "tight"}, "--slo tight: choose strict or relaxed, or give TTFT and TPOT in seconds"),
        (["fcfs"], {"slo": "2,-1"}, "--slo 2,-1: choose strict or relaxed, or give TTFT and TPOT in seconds"),
        (["fcfs"], {"profile": "h100"}, "no cost profile h100"),
        (["fcfs"], {"error": float("inf")}, "prediction error inf"),
        (["fcfs"], {"given": {"blocks": 10}}, "KV blocks, more than the 10 there are"),
        (["fcfs"], {"requests": 1, "rates": [3.0]}, "all requests arrive at once"),
        (["swapping.py"], {}, "engine 'sim' cannot carry out 'swap'"),
        (["priority.py"], {}, "defines no function of a policy"),
        (["latin.py"], {}, "is not UTF-8 text"),
        (["nosuch/3"], {}, "there is no run 'nosuch'"),
        (["fcfs"], {"out": Path("latin.py")}, "--out latin.py: cannot make this folder"),
    ],
)
def test_bad_use_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], options: dict[str, Any], message: str
) -> None:
    """Every wrong name and value is a usage error that says where it is."""
    monkeypatch.chdir(tmp_path)
    Path("swapping.py").write_text("def swap(view):\n    return 0\n")
    Path("priority.py").write_text("def priority(p, d, t):\n    return p\n")
    Path("latin.py").write_bytes(b"# \xe4\n")
    engine = options.pop("engine", "sim")
    with pytest.raises(UsageError, match=re.escape(message)):
        bench(engine, Asked(names=names, **{"source": "code", "requests": 30, **options}), as_json=False)


def test_service_levels_are_those_of_the_standard_instances() -> None:
    """On the standard engine and clock a benchmark judges by the same objectives as the problem `serving`."""
    workload = scene_of("mooncake", requests=60).workload
    for level in ("strict", "relaxed"):
        standard, ours = instance_of("same", workload, level), scene_of("mooncake", requests=60, slo=level).workload
        assert np.array_equal(standard["ttft"], ours.ttft) and np.array_equal(standard["tpot"], ours.tpot)


def test_the_engine_is_as_large_as_told() -> None:
    """Sequences and tokens of a step and KV blocks are those given, the rest as usual."""
    settings = scene_of("code", given={"max_running": 8, "max_tokens": 512}).settings
    assert (settings.max_running, settings.max_tokens, settings.blocks) == (8, 512, SETTINGS.blocks)


def test_options_that_contradict_or_say_nothing() -> None:
    """A rate that is none; true and wrong lengths at once; arrivals by the clock and by what finishes."""
    with pytest.raises(UsageError, match="'nan' is no rate"):
        parse_rates("nan")
    with pytest.raises(UsageError, match="give one of them"):
        parse_error(1.0, oracle=True)
    assert (parse_error(None, oracle=True), parse_error(0.3, oracle=False)) == (0.0, 0.3)
    with pytest.raises(UsageError, match="give one of them"):
        bench("sim", Asked(names=["fcfs"], source="code", rates=[3.0], concurrency=2), as_json=False)


def test_rates_are_read_in_any_order() -> None:
    """Ascending, without duplicates; none given: the workload's own."""
    assert parse_rates("8, 4,8,.5") == [0.5, 4.0, 8.0]
    assert parse_rates(None) == [None]


def test_capacity_is_the_highest_rate_before_the_first_failure() -> None:
    """More arrivals are met until the engine is full; a policy that holds no rate has no capacity."""
    fcfs = find_contender("fcfs")
    results = run_all([fcfs], scene_of("conversation", requests=120), [4.0, 200.0], None, lambda _: None)
    shares = [result.metrics.attainment for result in results if result.metrics]
    assert shares[0] >= 0.9 > shares[1]
    assert capacities(results) == {"fcfs": 4.0}
    assert by_capacity(results) == [("4/s", ["fcfs"])]
    assert capacities(results[1:]) == {"fcfs": None}
    assert by_capacity([Result(fcfs, 4.0, None, "stuck")]) == [("none", ["fcfs"])]


def test_winners_are_the_best_as_shown() -> None:
    """Of one column and rate: the lowest time, the highest share; nobody where all show the same."""
    policies = [find_contender(name) for name in ("fcfs", "sjf", "slai")]
    results = run_all(policies, scene_of("code", requests=100), [40.0], None, lambda _: None)
    (_, group), *_ = by_rate(results)
    columns = {column.heading: column for column in COLUMNS}
    means = {r.policy.name: r.metrics.ttft.p50 for r in results if r.metrics}
    assert columns["TTFT p50"].winners(group) == {min(means, key=lambda name: means[name])}
    assert columns["hits"].winners(group) == set()
    assert columns["scheduler"].winners(group) == set()


def test_the_frontier_is_what_nothing_beats() -> None:
    """Down and left; of equals in one coordinate the better in the other; equal points count once."""
    points = [(1.0, 5.0), (2.0, 3.0), (2.0, 4.0), (3.0, 3.0), (4.0, 1.0), (1.0, 5.0), (5.0, 2.0)]
    assert [points[i] for i in frontier(points)] == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]
    assert frontier([]) == []


def test_single_tokens_only_can_be_shown(tmp_path: Path) -> None:
    """Without a second token there is no TPOT: dashes in the table, an empty frontier, no crash."""
    workload = Workload.of("single", [0.0, 0.1, 0.2], [10, 10, 10], [1, 1, 1])
    write_jsonl(workload, tmp_path / "single.jsonl")
    result = discover("bench", "fcfs", "sjf", "--workload", "single.jsonl", "--out", "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "–" in result.stdout and (tmp_path / "out" / "frontier.png").read_bytes().startswith(PNG)
