"""`discover bench --engine torch` through the real command, on the CPU."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.bench.contenders import find_contender
from discovery.bench.running import Result
from discovery.commands.bench import complain
from engine_bridge.metrics import metrics
from engine_bridge.online import simulate
from engine_bridge.policy import FCFS
from engine_bridge.settings import EngineSettings
from engine_bridge.traces import write_jsonl
from tests.discovery.conftest import discover
from tests.engine_bridge.traffic import ROUND_COST, make_workload

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")

SHORTEST = "def rank_waiting(view):\n    return view.predicted\n"
SMALL = ("--engine", "torch", "--device", "cpu", "--workload", "few.jsonl")


def write_few(folder: Path) -> None:
    """A trace of 12 short requests."""
    write_jsonl(make_workload(n=12), folder / "few.jsonl")


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a benchmark of a baseline and of a sealed file, at fixed concurrency."""
    folder = tmp_path_factory.mktemp("bench")
    write_few(folder)
    (folder / "mine.py").write_text(SHORTEST)
    arguments = ["bench", "fcfs", "mine.py", *SMALL, "--concurrency", "6", "--rounds", "2", "--out", "out"]
    finished = discover(*arguments, cwd=folder)
    assert finished.returncode == 0, finished.stderr
    (folder / "output.txt").write_text(finished.stdout)
    return folder


def test_results_name_what_they_must_not_be_read_without(benched: Path) -> None:
    """Machine, versions, model shape, seed; figures of each round; the simulator's beside them, with the error."""
    record = json.loads((benched / "out" / "results.json").read_text())
    on = record["on"]
    assert on["model"]["name"] == "tiny" and on["model"]["layers"] > 0 and on["device"] == "cpu"
    assert on["machine"]["cpu"] and on["machine"]["versions"]["torch"] == torch.__version__
    assert (on["rounds"], record["seed"], record["workload"]["concurrency"]) == (2, 0, 6)
    for result in record["results"]:
        assert len(result["rounds"]) == 2 and all(figures["requests"] == 12 for figures in result["rounds"])
        error = result["errors"]["throughput"]
        ratio = result["predicted"]["output_throughput"] / result["metrics"]["output_throughput"]
        assert error == pytest.approx(ratio - 1)
    text = (benched / "output.txt").read_text()
    for said in ("12 requests · 6 at a time", "the simulator beside it", "medians of 2 rounds, by turns"):
        assert said in text
    page = (benched / "out" / "report.html").read_text()
    assert "6 under way at any time" in page and "<th>seed</th><td>0</td>" in page
    assert page.count("data:image/png;base64,") == 3 and not re.findall(r"(?:src|href)=\"(?!data:)", page)


def test_policies_take_turns_and_the_steps_can_be_calibrated_on(benched: Path) -> None:
    """The step log has both rounds, the second begun by the other policy; `discover calibrate` fits a profile to it."""
    with (benched / "out" / "steps.csv").open() as file:
        rows = [(row["policy"], row["round"]) for row in csv.DictReader(file)]
    turns = list(dict.fromkeys(rows))
    assert turns == [("fcfs", "0"), ("mine.py", "0"), ("mine.py", "1"), ("fcfs", "1")]
    fitted = discover("calibrate", "out/steps.csv", "--profile", "own.json", cwd=benched)
    assert fitted.returncode == 0, fitted.stderr
    again = discover("bench", "fcfs", "--workload", "few.jsonl", "--profile", "own.json", cwd=benched)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "tinny"), "tinny"),
        (("--device", "cuda:7"), "use cpu"),
        (("--device", "gpu"), "give cpu, cuda"),
        (("--blocks", "4"), "KV blocks"),
        (("--pools", "1.5"), "--pools 1.5: give the share"),
        (("--concurrency", "4", "--rate", "3"), "give one of them"),
        (("--engine", "sim", "--rounds", "2"), "--rounds"),
        (("--engine", "sim", "--model", "tiny"), "--model"),
    ],
)
def test_bad_use_is_one_sentence(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """What the engine cannot do, or the simulator has no use for, is refused before anything runs."""
    write_few(tmp_path)
    finished = discover("bench", "fcfs", *SMALL, *options, cwd=tmp_path)
    assert finished.returncode == 2, finished.stderr
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_extension_that_the_engine_lacks_is_named(tmp_path: Path) -> None:
    """A policy with a function that only other engines carry out is refused with the function's name."""
    write_few(tmp_path)
    (tmp_path / "swapping.py").write_text(f"{SHORTEST}\n\ndef swap(view):\n    return 0\n")
    finished = discover("bench", "swapping.py", *SMALL, cwd=tmp_path)
    assert finished.returncode == 2
    assert "'swap'" in finished.stderr and "torch" in finished.stderr


def test_two_pools_serve(tmp_path: Path) -> None:
    """Prompts and decodes in pools of their own: everything is served, and no prediction is claimed."""
    write_few(tmp_path)
    finished = discover("bench", "fcfs", *SMALL, "--pools", "0.5", "--rounds", "1", "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    record = json.loads(finished.stdout)
    assert record["on"]["pools"] == 0.5
    assert record["results"][0]["metrics"]["requests"] == 12
    assert record["results"][0].get("predicted") is None


def test_a_machine_that_is_not_quiet_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Rounds that differ by more than a fifth make a warning, others none."""
    policy = find_contender("fcfs")
    outcome = simulate(make_workload(n=12), FCFS, EngineSettings(blocks=64), ROUND_COST)
    figures = metrics(outcome, make_workload(n=12))
    for slower, said in ((1.1, False), (1.5, True)):
        rounds = (figures, replace(figures, seconds=slower * figures.seconds))
        complain([Result(policy, None, figures, "", rounds)])
        assert ("50 % between rounds" in capsys.readouterr().err) is said
