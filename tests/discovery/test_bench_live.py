"""`discover bench --engine vllm` through the real command, against real HTTP servers on loopback."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from discovery.bench import launching
from discovery.bench.launching import reason
from engine_bridge.replay.server import ServerError
from engine_bridge.traces import write_jsonl
from engine_bridge.workload import Workload
from tests.completions_server import completions_server
from tests.discovery.conftest import discover
from tests.endpoint import closed_port

ROOT = Path(__file__).parents[2]
FAKE = f"{sys.executable} {ROOT / 'tests' / 'completions_server.py'}"
"""Stands in for `vllm serve MODEL`."""
SHORT = ("--workload", "code", "--max-prompt", "50", "--max-output", "8", "--engine", "vllm", "--slo", "5,1")


def live(*arguments: str, cwd: Path, **env: str) -> Any:
    """The command with a short workload."""
    return discover("bench", *arguments, *SHORT, cwd=cwd, **env)


def test_running_servers_side_by_side(tmp_path: Path) -> None:
    """Two servers, two rates: table with the clock it was measured by, JSON and a page that claims no simulation."""
    with completions_server() as plain, completions_server(policy=True, key="k") as policy:
        arguments = ("fcfs", "ours", "--url", plain.url, "--url", f"{policy.url}/v1", "--requests", "20")
        result = live(*arguments, "--rate", "20,40", "--out", "out", "--api-key-env", "KEY", cwd=tmp_path, KEY="k")
    assert result.returncode == 0, result.stderr
    assert "engine vllm · clock: wall time at the client" in result.stdout
    assert "times are measured at the client" in result.stdout
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["policy"], row["rate"]) for row in record["results"]] == [
        (name, rate) for rate in (20.0, 40.0) for name in ("fcfs", "ours")
    ]
    stock, ours = record["results"][:2]
    assert stock["origin"].endswith(", no figures of an exported policy")
    assert ours["origin"].endswith(", an exported policy")
    assert (stock["sealed"], ours["sealed"]) == (False, True)
    assert stock["metrics"]["attainment"] == 1 and ours["metrics"]["scheduler_us"] == pytest.approx(50)
    assert record["capacity"]["rates"] == {"fcfs": 40.0, "ours": 40.0}
    assert record["settings"]["fcfs"] == "vLLM 0.32.0, tiny, output lengths forced"
    assert "warning: ours at 20/s" in result.stderr  # the counted fallbacks
    page = (tmp_path / "out" / "report.html").read_text()
    assert "by live engines" in page and "simulated engine" not in page


def test_a_server_is_started_for_each_policy(tmp_path: Path) -> None:
    """vLLM's own scheduler without, others with their exported folder on the path; logs are kept with the report."""
    (tmp_path / "mine.py").write_text("def rank_waiting(view):\n    return view.predicted\n")
    result = live(
        "vllm", "sjf", "mine.py", "smtt_dispatch:mdd", "--serve", FAKE, "--requests", "10", "--rate", "40", "--json",
        "--out", "out", cwd=tmp_path, PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["results"]
    assert [row["policy"] for row in rows] == ["vllm", "sjf", "mine.py", "smtt_dispatch:mdd"]
    assert [row["sealed"] for row in rows] == [False, True, True, True]
    assert len(list((tmp_path / "out").glob("server-*.log"))) == 4


def test_one_server_that_dies_does_not_cost_the_others(tmp_path: Path) -> None:
    """Its row is empty and its error one sentence; the other's figures are there; exit code 1."""
    with completions_server(die_after=10) as dying, completions_server() as well:
        arguments = ("dying", "well", "--url", dying.url, "--url", well.url, "--requests", "40", "--rate", "40")
        result = live(*arguments, "--json", cwd=tmp_path)
    assert result.returncode == 1
    rows = json.loads(result.stdout)["results"]
    assert rows[0]["metrics"] is None and "is gone" in rows[0]["failure"]
    assert rows[1]["metrics"]["requests"] == 40
    said = [line for line in result.stderr.splitlines() if not line.startswith("warning")]
    assert len(said) == 1 and said[0].startswith("error: dying at 40/s: the server at http")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The line of its log that names the error, and where the log is."""
    result = live("vllm", "--serve", f"{FAKE} --broken", "--requests", "3", "--out", "out", cwd=tmp_path,
                  PYTHONPATH=str(ROOT))  # fmt: skip
    assert result.returncode == 1
    said = "error: vllm: the server ended with status 1 before it was ready: ValueError: no such model as this one"
    assert said in result.stderr and "out/server-1.log" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fcfs",), "give either --url http://HOST:PORT for each policy, or --serve 'vllm serve MODEL', or --in-p"),
        (("fcfs", "--url", "http://x", "--serve", "vllm"), "give either --url"),
        (("fcfs", "sjf", "--url", "http://x"), "2 policies and 1 addresses: a running server has one policy"),
        (("fcfs", "--url", "x:80"), "--url: 'x:80' is no address of a server"),
        (("fcfs", "--url", "http://x", "--prompts", "ids"), "--prompts ids: choose tokens or text"),
        (("fcfs", "--url", "http://x", "--blocks", "9"), "--blocks is for the simulator"),
        (("fcfs", "--url", "http://x", "--max-running", "9"), "--max-running is for the simulator"),
        (("fcfs", "--url", "http://x", "--api-key-env", "NOT_SET"), "NOT_SET: this environment variable is not set"),
        (("fcfs", "--serve", "no-such-program serve"), "there is no program 'no-such-program'; activate"),
        (("fcfs", "--serve", f"{shlex.quote(sys.executable)} --port 80"), "take out --port, which is set for each"),
        (("fcfs", "--serve", "'"), "no command line (No closing quotation)"),
        (("fcfs", "--serve", "vllm", "--in-process", "m"), "give either --url"),
        (("fcfs", "--in-process", "m", "--model", "n"), "--model, --prompts and --api-key-env are for servers"),
        (("fcfs", "--in-process", "--seed 1"), "--in-process '--seed 1': name the model first, as to 'vllm serve'"),
        (("fcfs", "--in-process", "m --scheduler-cls=x"), "take out --scheduler-cls, which is set for each engine"),
        (("fcfs", "--in-process", "'"), "no arguments (No closing quotation)"),
        (("fcfs", "--in-process", "m"), "--in-process needs vLLM in the Python that runs discover, which /"),
        (("slai", "--serve", sys.executable), "cannot run in vllm, which does not carry out 'hold'"),
        (("fcsf", "--serve", sys.executable), "did you mean 'fcfs'?"),
    ],
)
def test_bad_use_ends_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, one line, no traceback, no server asked."""
    result = live(*arguments, "--json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_options_for_servers_need_one(tmp_path: Path) -> None:
    """The simulator has no address."""
    result = discover("bench", "fcfs", "--workload", "code", "--url", "http://x", cwd=tmp_path)
    assert result.returncode == 2 and "need --engine vllm" in result.stderr


def test_nobody_at_the_address_and_a_model_too_small(tmp_path: Path) -> None:
    """Each ends in one sentence with the remedy and exit code 1."""
    result = live("fcfs", "--url", f"http://127.0.0.1:{closed_port()}", "--requests", "5", "--json", cwd=tmp_path)
    assert result.returncode == 1
    assert "start it first, or correct --url" in result.stderr and len(result.stderr.splitlines()) == 1
    write_jsonl(Workload.of("long", [0.0, 0.1], [90, 10], [20, 20]), tmp_path / "long.jsonl")
    with completions_server(longest=100) as served:
        arguments = ("fcfs", "--url", served.url, "--workload", "long.jsonl", "--engine", "vllm", "--json")
        result = discover("bench", *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert "request 0 of long has 90 + 20 tokens, more than the 100" in result.stderr
    assert "--max-prompt and --max-output" in result.stderr


def test_a_port_that_somebody_takes_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free when it was chosen, in use when the server starts: which port, and what to do."""
    with socket.socket() as taken:
        taken.bind((launching.HOST, 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(launching, "free_port", lambda: port)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        said = pytest.raises(ServerError, match=rf"another program took port {port} while .*; try again \(log: ")
        with said, launching.started(shlex.split(FAKE), None, tmp_path / "log", lambda _: None):
            pass


def test_the_reason_in_a_log_is_the_error_itself(tmp_path: Path) -> None:
    """Not the line that only points at it."""
    log = tmp_path / "log"
    log.write_text(
        "INFO x\n(EngineCore) ERROR OSError: address already in use\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n\n"
    )
    assert reason(log) == f"(EngineCore) ERROR OSError: address already in use (log: {log})"
    log.write_text("one\ntwo\n")
    assert reason(log).startswith("two (log")
