"""Runs that ask by file: results files, answers by hand, and a real Batch endpoint, all with the real command."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.batch_endpoint import BatchServer, batch_endpoint
from tests.discovery.conftest import discover
from tests.discovery.runs import (
    error_line,
    history,
    owed,
    query,
    reply,
    requests_of,
    result_line,
    write_config,
)
from tests.endpoint import completion, endpoint

CANDIDATES = 6
FILES = 'kind = "batch"\nmodel = "mock"\nbase_url = "http://127.0.0.1:9/v1"\nsize = 3\nmax_tokens = 60'
KEY = "sk-very-secret"


def submitting(server: BatchServer) -> str:
    """The proposer's section for a run that submits its batches."""
    return FILES.replace("http://127.0.0.1:9/v1", server.url) + "\nsubmit = true\npoll = 0.02"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The history of a run that asks the same model live, with the same look-ahead."""
    folder = tmp_path_factory.mktemp("live")
    with endpoint(lambda number, request: completion(reply(request["messages"][0]["content"]))) as server:
        proposer = f'kind = "openai"\nmodel = "mock"\nbase_url = "{server.url}"\nmax_tokens = 60'
        config = write_config(folder, proposer, candidates=CANDIDATES, search="lookahead = 3")
        result = discover("run", config, cwd=folder)
    assert result.returncode == 0, result.stderr
    found = history(folder)
    assert len(found) == CANDIDATES
    assert len({row[9] for row in found}) > 2, "the model's rules should differ"
    return found


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that waits for its first answers; tests copy it."""
    folder = tmp_path_factory.mktemp("paused")
    result = discover("run", write_config(folder, FILES, candidates=CANDIDATES), cwd=folder)
    assert result.returncode == 3, result.stderr
    assert "requests that wait for answers: 3, in runs/r/batch/requests.jsonl" in result.stderr
    assert "`discover resume r`" in result.stderr and "`discover ask r`" in result.stderr
    assert "Traceback" not in result.stderr
    return folder


@pytest.fixture
def folder(paused: Path, tmp_path: Path) -> Path:
    """A copy of the run that waits."""
    shutil.copytree(paused, tmp_path, dirs_exist_ok=True)
    return tmp_path


def results(folder: Path, text: str, name: str = "results.jsonl") -> None:
    """Put a results file into the run's folder."""
    (folder / "runs" / "r" / "batch" / name).write_bytes(text.encode())


def filled(markdown: str) -> str:
    """What `ask` printed, answered by the model, request by request."""
    parts = markdown.split("\n# Answer ")
    out = parts[0]
    for part in parts[1:]:
        mark, _, rest = part.partition("\n")
        prompt = out.rpartition(f"# Request {mark}\n\n")[2].rstrip("\n")
        out += f"\n# Answer {mark}\n{reply(prompt)}\n{rest}"
    return out


def test_the_requests_are_what_the_batch_api_takes(folder: Path) -> None:
    """One JSON object a line, with a key of its own, the method, the URL, and the body of a chat completion."""
    requests = requests_of(folder)
    prompts = [row[0] for row in query(folder, "SELECT prompt FROM request ORDER BY number")]
    for request, prompt in zip(requests, prompts, strict=True):
        assert set(request) == {"custom_id", "method", "url", "body"}
        assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
        assert request["body"] == {
            "model": "mock",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.8,
            "max_tokens": 60,
        }
    assert len({request["custom_id"] for request in requests}) == 3
    assert all(len(request["custom_id"]) <= 64 for request in requests)


def test_a_run_by_files_ends_as_one_asked_live(folder: Path, live: list[tuple[Any, ...]]) -> None:
    """Answers come partial, out of order, twice, with errors between them, some by hand: in the end the very same
    candidates as if the model had been asked live, and what they cost is settled to the token."""
    first, second, third = requests_of(folder)
    lines = [result_line(third), error_line(first["custom_id"]), result_line(third), "\n"]
    results(folder, "\ufeff" + "".join(lines).replace("\n", "\r\n"))
    result = discover("resume", "r", cwd=folder)
    assert result.returncode == 3, result.stderr
    assert "results.jsonl: answers taken: 1, failed, stay open: 1 (request 0: overloaded)" in result.stderr
    again, same = requests_of(folder)
    assert (again["body"], same) == (first["body"], second)
    assert again["custom_id"] != first["custom_id"], "the failed call has ended: a new one is made"

    asked = discover("ask", "r", "--limit", "1", cwd=folder)
    (folder / "by-hand.md").write_text(filled(asked.stdout))
    for said in ("answers taken: 1; 1 requests are open", "answers taken: 0, there already: 1; 1 requests are open"):
        result = discover("answer", "r", "by-hand.md", "--by", "a friend", cwd=folder)
        assert (result.returncode, said in result.stdout) == (0, True), result.stdout + result.stderr
    results(folder, result_line(second), "results-2.jsonl")
    result = discover("resume", "r", cwd=folder)
    assert result.returncode == 3, result.stderr
    results(folder, "".join(map(result_line, requests_of(folder))), "results-3.jsonl")
    result = discover("resume", "r", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert history(folder) == live
    models = query(folder, "SELECT model, count(*) FROM answer GROUP BY model ORDER BY model")
    assert models == [("a friend", 1), ("mock", CANDIDATES - 1)]
    assert owed(folder)[0] == 120 * (CANDIDATES - 1)
    assert query(folder, "SELECT outcome, count(*) FROM settled GROUP BY outcome ORDER BY outcome") == [
        ("answered", CANDIDATES),
        ("rejected", 1),
    ]
    assert discover("ask", "r", cwd=folder).stderr.startswith("run r has no open request")


def test_what_does_not_belong_here_is_refused_in_one_sentence(folder: Path) -> None:
    """Missing, binary, foreign and empty files to `answer`, and garbage among the results: exit code 2, no change."""
    (folder / "binary").write_bytes(b"\xff\xfe\x00binary")
    (folder / "other.md").write_text("# Answer 0 · 000000\nmine\n")
    (folder / "other.jsonl").write_text(error_line("0123456789abcdef-0-0"))
    for name, said in {
        "absent.md": "'absent.md' cannot be read: No such file",
        ".": "cannot be read: Is a directory",
        "binary": "'binary' cannot be read: ",
        "other.md": "belongs to another run",
        "other.jsonl": "which is no request of run 'r'",
    }.items():
        result = discover("answer", "r", name, cwd=folder)
        assert (result.returncode, result.stderr.count("\n"), said in result.stderr) == (2, 1, True), result.stderr
    for content, said in ((b"{garbage\n", "line 1 of the results is no line"), (b"\xff{", "is not UTF-8 text")):
        (folder / "runs" / "r" / "batch" / "results.jsonl").write_bytes(content)
        result = discover("resume", "r", cwd=folder)
        assert result.returncode == 2, result.stderr
        assert said in result.stderr and "results.jsonl" in result.stderr and "Traceback" not in result.stderr
    assert query(folder, "SELECT count(*) FROM answer") == [(0,)]
    assert query(folder, "SELECT count(*) FROM settled") == [(0,)]


@pytest.mark.parametrize(
    ("budget", "said"),
    [("tokens = 4200", "the budget of 4200 tokens has"), ("money = 0.0042", "the budget of 0.0042 in money has")],
)
def test_budgets_hold_for_files(tmp_path: Path, budget: str, said: str) -> None:
    """Reserved when written, settled on arrival: no more requests than surely fit, and the end says which budget."""
    prices = "\ninput_price = 1\noutput_price = 1"
    config = write_config(tmp_path, FILES + prices, candidates=CANDIDATES, budget=budget)
    result = discover("run", config, cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    requests = requests_of(tmp_path)
    assert len(requests) == 2
    tokens, money = owed(tmp_path)
    assert 2800 < tokens <= 4200
    assert money == pytest.approx(tokens / 1e6)
    results(tmp_path, "".join(result_line(request, (1450, 50)) for request in requests))
    result = discover("resume", "r", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"run r ended: {said} no room for another call" in result.stderr
    assert owed(tmp_path)[0] == 3000
    assert len(history(tmp_path)) == 2


# ---- a real Batch endpoint


def test_batches_are_submitted_and_fetched(tmp_path: Path, live: list[tuple[Any, ...]]) -> None:
    """Submitted, polled through faults, results and errors fetched, the failed request submitted again: the same
    candidates as live, and the key is sent and written nowhere."""
    failed: list[str] = []

    def fails(request: dict[str, Any]) -> str | None:
        if failed:
            return None
        failed.append(request["custom_id"])
        return error_line(request["custom_id"], f"no luck with {KEY}")

    with batch_endpoint(BatchServer(fails=fails, faults=[500, 429, 503])) as server:
        config = write_config(tmp_path, submitting(server), candidates=CANDIDATES)
        result = discover("run", config, cwd=tmp_path, OPENAI_API_KEY=KEY)
    assert result.returncode == 0, result.stderr
    assert history(tmp_path) == live
    assert server.keys == {f"Bearer {KEY}"}
    assert owed(tmp_path)[0] == 120 * CANDIDATES
    assert len(server.batches) == 3
    written = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert b"no luck with [key]" in written
    assert KEY not in written.decode(errors="replace") + result.stderr + result.stdout


def test_a_batch_that_fails_says_why_and_is_submitted_anew(tmp_path: Path, live: list[tuple[Any, ...]]) -> None:
    """Refused as a whole: exit code 1, the endpoint's reason without the key; resume submits the requests again, and
    a kill after that finds the second batch, not the first."""
    with batch_endpoint(BatchServer(ends="failed", says=f"key {KEY} has no quota")) as server:
        config = write_config(tmp_path, submitting(server), candidates=CANDIDATES)
        result = discover("run", config, cwd=tmp_path, OPENAI_API_KEY=KEY)
        assert result.returncode == 1, result.stderr
        assert "batch batch_0 was refused: key [key] has no quota; 0 candidates are kept" in result.stderr
        assert KEY not in str(query(tmp_path, "SELECT detail FROM event"))
        server.ends, server.looks = "completed", 1000
        killed_while(server, "looked", tmp_path, "resume", "r")
        assert len(server.batches) == 2
        server.looks = 1
        result = discover("resume", "r", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(server.batches) == 3, "the refused one, the same requests again, and the second half of the run"
    assert history(tmp_path) == live


@pytest.mark.parametrize("moment", ["created", "looked"])
def test_killed_at_a_batch_the_run_finds_it_again(tmp_path: Path, live: list[tuple[Any, ...]], moment: str) -> None:
    """SIGKILL after the endpoint made the batch and before its number was written down, and while waiting for it:
    resume finds it, and no request is submitted twice."""
    with batch_endpoint(BatchServer()) as server:
        others = {"metadata": {"label": "another's"}, "object": "batch", "status": "completed", "created_at": 0}
        more = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "input_file_id": "x"}
        config = write_config(tmp_path, submitting(server), candidates=CANDIDATES)
        killed_while(server, moment, tmp_path, "run", str(config))
        for number in range(2):
            server.batches[f"other_{number}"] = {"id": f"other_{number}", **others, **more}
        result = discover("resume", "r", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert history(tmp_path) == live
    ours = [batch for name, batch in server.batches.items() if name.startswith("batch_")]
    keys = [
        json.loads(line)["custom_id"] for batch in ours for line in server.files[batch["input_file_id"]].splitlines()
    ]
    assert len(keys) == len(set(keys)) == CANDIDATES
    assert owed(tmp_path)[0] == 120 * CANDIDATES


def killed_while(server: BatchServer, moment: str, folder: Path, *command: str) -> None:
    """Run a command and kill it at that moment, before the server has answered."""
    killed: list[int] = []

    def kill(batch: dict[str, Any]) -> None:
        if not killed:
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    setattr(server, moment, kill)
    process = subprocess.Popen(
        [sys.executable, "-m", "discovery.cli", *command],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    process.wait(timeout=60)
    assert killed and process.returncode == -signal.SIGKILL


def test_an_endpoint_that_is_not_there_pauses_the_run(tmp_path: Path) -> None:
    """One sentence and exit code 1; nothing was lost, and with files the run goes on."""
    proposer = FILES + "\nsubmit = true"
    result = discover("run", write_config(tmp_path, proposer, candidates=CANDIDATES), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "error: the Batch API of http://127.0.0.1:9/v1 failed (Connection error.); 0 candidates" in result.stderr
    results(tmp_path, "".join(map(result_line, requests_of(tmp_path))))
    result = discover("resume", "r", "--set", "proposer.submit=false", cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert len(history(tmp_path)) == 3


def test_submitting_needs_a_key(tmp_path: Path) -> None:
    """Before anything is written: the variable is named."""
    proposer = 'kind = "batch"\nmodel = "m"\nsubmit = true\napi_key_env = "NO_SUCH_KEY"'
    result = discover("run", write_config(tmp_path, proposer), cwd=tmp_path)
    assert (result.returncode, "set the environment variable NO_SUCH_KEY" in result.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()
