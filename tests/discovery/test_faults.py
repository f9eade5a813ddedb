"""What endpoints do to a run: each fault from a real local server, against the real command."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from discovery.budget import Spending
from discovery.proposers.base import Charge
from tests.discovery.conftest import discover
from tests.discovery.test_resume import descendants
from tests.discovery.tiny_run import (
    CANDIDATES,
    MAX_TOKENS,
    calls,
    check_whole,
    count,
    events,
    finished,
    resume,
    rows,
    rule,
    run,
    spending,
    start,
    wait_until,
    write_config,
)
from tests.endpoint import Reply, closed_port, completion, endpoint, error

ALL = f"ended: all {CANDIDATES} candidates of the budget were tried"
GOOD = rule(0, {}).body
OPEN_ENDED = "```python\ndef priority(p, w, t):\n    return p /"
SEVERAL = """Not this one:
```python
def priority(p, w, t):
    return -p
```
but this one:
```python
def priority(p, w, t):
    return p / w
```
Try it:
```python
print(priority(1, 2, 0))
```
"""


# ---- faults that pass

MOST, NONE = "most", "none"
PASSING: dict[str, tuple[Reply, str, str | int]] = {
    # fault: the reply, how the call ends, and what it counts for: nothing, what was said, or all that was reserved
    "429": (error(429, "slow down"), "rejected", NONE),
    "429 with Retry-After": (error(429, "slow down", Retry_After="1"), "rejected", NONE),
    "429 with a date": (
        error(429, "slow", Date="Wed, 21 Oct 2015 07:28:00 GMT", Retry_After="Wed, 21 Oct 2015 07:28:01 GMT"),
        "rejected",
        NONE,
    ),
    "500": (error(500, "boom"), "rejected", NONE),
    "502": (Reply(502, "<html>bad gateway</html>"), "rejected", NONE),
    "503": (error(503, "the model is loading"), "rejected", NONE),
    "reset before the answer": (Reply(body=GOOD, reset_after=0), "lost", MOST),
    "reset in mid-answer": (Reply(body=GOOD, reset_after=50), "lost", MOST),
    "slow drip": (Reply(body=GOOD, drip=0.2), "lost", MOST),
    "silence": (Reply(body=GOOD, delay=3.0), "lost", MOST),
    "a web page": (Reply(200, "<html>Welcome to the proxy</html>"), "unusable", MOST),
    "an empty record": (Reply(200, {}), "unusable", MOST),
    "empty choices": (Reply(200, {"choices": []}), "unusable", MOST),
    "empty choices, billed": (Reply(200, {**GOOD, "choices": []}), "unusable", 120),
    "JSON cut short": (Reply(200, '{"id": "x", "choices": [{"index": 0, "mess'), "unusable", MOST),
    "a Content-Length too long": (Reply(body=GOOD, length=100_000), "lost", MOST),
    "a Content-Length too short": (Reply(body=GOOD, length=40), "unusable", MOST),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_burst_of_faults_passes_and_the_run_goes_on(tmp_path: Path, fault: str) -> None:
    """Calls 3 to 5 fail: the run ends as it should, each call is charged to the token, no candidate is lost."""
    reply, outcome, charge = PASSING[fault]
    bad = range(2, 5)
    with endpoint(lambda number, request: reply if number in bad else rule(number, request)) as server:
        result = run(tmp_path, server.url, proposer="timeout = 2")
    assert result.returncode == 0, result.stderr
    assert ALL in result.stderr
    check_whole(tmp_path)
    made = calls(tmp_path)
    # A busy machine may take longer than the time-out for a good answer; then there is a call more, and it is lost.
    faults = [call for call in made if call[0] != "answered" and call[0] == outcome]
    assert len(made) == len(server.requests)
    assert [call[0] for call in made].count("answered") == CANDIDATES
    assert len(faults) >= len(bad) and len(faults) + CANDIDATES == len(made)
    for _, tokens, most in faults:
        assert tokens == (most if charge == MOST else 0 if charge == NONE else charge)
    known = CANDIDATES * 120 + sum(tokens for _, tokens, _ in faults)
    held = sum(tokens for _, tokens, _ in faults) if outcome == "lost" else 0
    assert spending(tmp_path) == Spending(len(made), Charge(known), Charge(held))


@pytest.mark.parametrize(
    ("reply", "verdict", "tokens"),
    [
        (completion(SEVERAL), "ok", 120),
        (completion("I would rather not."), "no_code", 120),
        (completion(OPEN_ENDED, 100, MAX_TOKENS, finish="length"), "no_code", 100 + MAX_TOKENS),
        (completion(""), "no_code", 120),
        (completion("```python\n" + "x = 1\n" * 1_700_000 + "```", 100, MAX_TOKENS), None, 100 + MAX_TOKENS),
        (completion("x" * 10_000_000, 100, MAX_TOKENS), "no_code", 100 + MAX_TOKENS),
        (completion(SEVERAL, None, 20), "ok", MOST),
        (completion(SEVERAL, -100, -20), "ok", MOST),
        (completion(SEVERAL, 0, 0), "ok", MOST),
        (completion(SEVERAL, "100", "20"), "ok", MOST),
        (completion(SEVERAL, 10**30, 10**30), "ok", MOST),
        (Reply(body={name: value for name, value in completion(SEVERAL).body.items() if name != "usage"}), "ok", MOST),
        (Reply(body=completion(SEVERAL).body, drip=0.001), "ok", 120),
    ],
    ids=[
        "several blocks", "no block", "cut at its length", "empty", "10 MB of code", "10 MB of text", "no figure",
        "negative usage", "zero usage", "usage as text", "usage of 10^30", "no usage", "a drip that ends in time",
    ],
)  # fmt: skip
def test_odd_answers_are_answers(tmp_path: Path, reply: Reply, verdict: str | None, tokens: str | int) -> None:
    """One odd answer among good ones: it is paid, kept whole and judged, and nothing is asked again."""
    with endpoint(lambda number, request: reply if number == 1 else rule(number, request)) as server:
        result = run(tmp_path, server.url, proposer="concurrency = 1")
    assert result.returncode == 0, result.stderr
    assert ALL in result.stderr
    check_whole(tmp_path)
    assert len(server.requests) == CANDIDATES
    made = calls(tmp_path)
    expected = made[1][2] if tokens == MOST else int(tokens)
    assert [call[:2] for call in made] == [("answered", 120), ("answered", expected), *[("answered", 120)] * 4]
    assert spending(tmp_path) == Spending(CANDIDATES, Charge(5 * 120 + expected))
    said = reply.body["choices"][0]["message"]["content"]
    found = rows(
        tmp_path, "SELECT text, source, verdict FROM answer JOIN call USING (number) JOIN outcome USING (number)"
        " ORDER BY id LIMIT 1 OFFSET 1",
    )  # fmt: skip
    assert found[0][0] == said
    if verdict == "ok":
        assert found[0][1] == "def priority(p, w, t):\n    return p / w\n"
        assert found[0][2] in ("ok", "duplicate")
    elif verdict:
        assert found[0][2] == verdict
    else:
        assert found[0][2] not in ("ok", "duplicate", "no_code")


# ---- faults that last


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error(401, "Incorrect API key provided"), "HTTP 401 (Incorrect API key provided); check the key in"),
        (error(403, "not for you"), "HTTP 403 (not for you); check what the key in OPENAI_API_KEY may use"),
        (error(404, "no model 'mock'", "model_not_found"), "HTTP 404 (no model 'mock'); check the model's name"),
        (error(429, "you are out of money", "insufficient_quota"), "HTTP 429 (you are out of money); wait, or see to"),
        (error(429, "that was today's", Retry_After="7200"), "HTTP 429 (asks us to come back in 7200 s; that was"),
        (error(503, "down"), "after 3 attempts (HTTP 503: down); see that the endpoint is up"),
        (Reply(200, {}), "after 3 attempts (the answer is no chat completion); see that the endpoint is up"),
    ],
    ids=["401", "403", "404", "no quota", "a long pause", "503 for good", "no completions"],
)
def test_a_fault_that_lasts_pauses_the_run_until_it_is_resumed(tmp_path: Path, reply: Reply, said: str) -> None:
    """After two answers nothing but the fault: exit code 1 and a sentence; when it is over, resume sees it through."""
    down = True
    both = threading.Barrier(2)

    def answer(number: int, request: dict[str, Any]) -> Reply:
        if number < 2:
            both.wait(30)  # so that these are the first two candidates' requests, whoever is quicker
        elif down:
            time.sleep(0.3)  # until both answers are kept
            return reply
        return rule(number, request)

    with endpoint(answer) as server:
        result = run(tmp_path, server.url, proposer="attempts = 3\nconcurrency = 2")
        assert result.returncode == 1
        assert said in result.stderr
        assert "2 candidates are kept, `discover resume tiny` goes on" in result.stderr
        assert events(tmp_path)[-1][0] == "paused" and said in events(tmp_path)[-1][1]
        assert count(tmp_path, "answer") == count(tmp_path, "outcome") == 2
        assert len(calls(tmp_path)) == len(server.requests)
        before = spending(tmp_path)
        down = False
        result = resume(tmp_path)
    assert result.returncode == 0, result.stderr
    assert ALL in result.stderr
    check_whole(tmp_path)
    assert spending(tmp_path) == Spending(before.calls + 4, before.charge + Charge(4 * 120), before.held)


def test_nobody_listening_pauses_the_run_and_costs_nothing(tmp_path: Path) -> None:
    """A refused connection is no call; once the endpoint is up, resume sees the run through."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}/v1"
    result = run(tmp_path, url, proposer="attempts = 3", budget="calls = 6")
    assert result.returncode == 1
    assert f"no answer from model 'mock' at {url} after 3 attempts (cannot connect" in result.stderr
    assert "0 candidates are kept" in result.stderr
    assert spending(tmp_path) == Spending()
    with endpoint(rule, port=port):
        assert resume(tmp_path).returncode == 0
    check_whole(tmp_path)
    assert spending(tmp_path) == Spending(CANDIDATES, Charge(CANDIDATES * 120))


def test_an_endpoint_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    """Refused connections pass too: the run tries again until somebody listens."""
    port = closed_port()
    config = write_config(tmp_path, f"http://127.0.0.1:{port}/v1", proposer="attempts = 100", backoff=0.001)
    process = start(tmp_path, "run", config)
    wait_until(lambda: count(tmp_path, "settled") > 0)
    with endpoint(rule, port=port):
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    check_whole(tmp_path)
    assert spending(tmp_path) == Spending(CANDIDATES, Charge(CANDIDATES * 120))


def test_one_of_two_endpoints_fails_and_the_other_does_its_work(tmp_path: Path) -> None:
    """With several models a refusal of one is no reason to stop."""
    with endpoint(lambda n, r: error(401, "who are you?")) as bad, endpoint(rule) as good:
        models = f'[[proposer.models]]\nbase_url = "{bad.url}"\n[[proposer.models]]\nbase_url = "{good.url}"\n'
        result = run(tmp_path, "http://127.0.0.1:1", models=models)
    assert result.returncode == 0, result.stderr
    check_whole(tmp_path)
    assert len(good.requests) == CANDIDATES
    assert spending(tmp_path) == Spending(CANDIDATES + len(bad.requests), Charge(CANDIDATES * 120))


# ---- budgets


def least_most(folder: Path) -> int:
    """The least that a call of the run reserved."""
    return min(call[2] for call in calls(folder))


@pytest.mark.parametrize("tokens", [5000, 7777])
def test_a_budget_of_tokens_is_never_overrun(tmp_path: Path, tokens: int) -> None:
    """The run ends in a sentence, before the budget is overrun and no sooner than it must; resume goes on with more."""
    with endpoint(rule) as server:
        result = run(tmp_path, server.url, budget=f"tokens = {tokens}", candidates=500)
        assert result.returncode == 0, result.stderr
        served = 120 * len(server.billed)
        said = f"ended: the budget of {tokens} tokens has no room for another call: {served} used, {tokens - served}"
        assert said in result.stderr
        assert served == spending(tmp_path).charge.tokens <= tokens
        prompts = {row[0] for row in rows(tmp_path, "SELECT number FROM request")}
        assert tokens - served < max(call[2] for call in calls(tmp_path)) * 1.5, "it ended too soon"
        assert count(tmp_path, "answer") == count(tmp_path, "outcome") == len(server.billed) < len(prompts)
        done = count(tmp_path, "outcome")
        result = resume(tmp_path, f"budget.tokens={tokens + 100_000}", f"budget.candidates={done + 3}")
        assert result.returncode == 0, result.stderr
        assert len(server.billed) == done + 3


def test_a_budget_of_calls_is_never_overrun(tmp_path: Path) -> None:
    """Rejected calls count, and the last one allowed is made."""
    with endpoint(lambda n, request: error(500, "boom") if n % 3 == 0 else rule(n, request)) as server:
        result = run(tmp_path, server.url, budget="calls = 7", candidates=500)
    assert result.returncode == 0, result.stderr
    assert "ended: the budget of 7 calls is used up" in result.stderr
    assert len(server.requests) == len(calls(tmp_path)) == 7
    assert count(tmp_path, "answer") == 4


def test_a_budget_of_money_is_never_overrun(tmp_path: Path) -> None:
    """Prices count for tokens in and out; what was served is within the budget, and shown."""
    prices = "input_price = 1000\noutput_price = 10000"  # .1 and .2 for an answer
    with endpoint(rule) as server:
        result = run(tmp_path, server.url, proposer=prices, budget="money = 10", candidates=500)
    assert result.returncode == 0, result.stderr
    assert "ended: the budget of 10 in money has no room for another call" in result.stderr
    paid = 0.3 * len(server.billed)
    assert paid <= 10
    assert spending(tmp_path).charge.cost == pytest.approx(paid)
    assert len(server.billed) >= 10, "it ended too soon"
    assert f"cost {paid:.4f}/10" in result.stderr


def test_a_budget_of_minutes_ends_the_run(tmp_path: Path) -> None:
    """No call begins after the time is over; those in flight are kept."""
    seconds = 1.5
    with endpoint(lambda n, request: Reply(body=rule(n, request).body, delay=0.3)) as server:
        result = run(tmp_path, server.url, budget=f"minutes = {seconds / 60}", candidates=500)
    assert result.returncode == 0, result.stderr
    assert f"ended: the time budget of {seconds / 60:g} min is used up" in result.stderr
    assert server.calls[-1].began - server.calls[0].began < seconds
    assert count(tmp_path, "answer") == len(server.requests)


def test_unknown_outcomes_count_against_the_budget(tmp_path: Path) -> None:
    """Calls that break off may have been billed: an endpoint that does nothing else cannot spend beyond the budget."""
    with endpoint(lambda n, request: Reply(body=GOOD, reset_after=20)) as server:
        result = run(tmp_path, server.url, proposer="attempts = 100", backoff=0.001, budget="tokens = 20000")
    assert result.returncode == 0, result.stderr
    assert "of them perhaps (calls of unknown outcome)" in result.stderr
    spent = spending(tmp_path)
    assert spent.charge == spent.held
    assert 20000 - least_most(tmp_path) * 1.5 < spent.charge.tokens <= 20000
    assert len(server.requests) == spent.calls


# ---- clocks


JUMPING = """
import time
_time, _start = time.time, time.monotonic()
def jumping():
    return _time() + (7200 if int((time.monotonic() - _start) * 20) % 2 else -7200)
time.time = jumping
"""


def with_path(folder: Path) -> str:
    """PYTHONPATH with a folder before what it holds."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    """The clock goes hours forth and back all the time: budgets and pauses do not care, and all is recorded."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    dates = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry_After": "Wed, 21 Oct 2015 07:28:01 GMT"}
    with endpoint(lambda n, request: error(429, "slow", **dates) if n == 0 else rule(n, request)) as server:
        config = write_config(tmp_path, server.url, budget="minutes = 5", proposer="concurrency = 1")
        result = finished(discover("run", config, cwd=tmp_path, PYTHONPATH=with_path(tmp_path)))
    assert result.returncode == 0, result.stderr
    assert ALL in result.stderr
    assert 0.95 < server.calls[1].began - server.calls[0].ended < 20
    check_whole(tmp_path)
    times = [row[0] for row in rows(tmp_path, "SELECT at FROM request UNION SELECT at FROM outcome")]
    assert max(times) - min(times) > 10_000, "the clock was to jump"
    assert rows(tmp_path, "SELECT min(elapsed) >= 0, max(elapsed) < 60 FROM outcome") == [(1, 1)]
    assert rows(tmp_path, "SELECT min(seconds) >= 0, max(seconds) < 60 FROM answer") == [(1, 1)]


def test_a_clock_that_jumps_does_not_prolong_the_budget(tmp_path: Path) -> None:
    """The minutes are those of the run, not of the clock on the wall."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    with endpoint(lambda n, request: Reply(body=rule(n, request).body, delay=0.1)) as server:
        config = write_config(tmp_path, server.url, budget="minutes = 0.02", candidates=5000)
        result = finished(discover("run", config, cwd=tmp_path, PYTHONPATH=with_path(tmp_path)))
    assert "the time budget of 0.02 min is used up" in result.stderr
    assert len(server.requests) >= 4
    assert server.calls[-1].began - server.calls[0].began < 1.2


# ---- keys


def test_keys_are_nowhere_but_in_the_headers(tmp_path: Path) -> None:
    """Two endpoints that echo their keys wherever they can: no key in files, output, prompts or children."""
    secrets = {"FIRST_KEY": "first-0123456789", "SECOND_KEY": "second-9876543210"}

    def echo(number: int, request: dict[str, Any], key: str) -> Reply:
        time.sleep(0.05)
        if number == 1:
            return error(500, f"Bearer {key} met a problem")
        if number == 2:
            return Reply(200, f"<html>{key}</html>")
        text = f"# your key: {key}\n{rule(number, request).body['choices'][0]['message']['content']}"
        return completion(text.replace("def ", f"# {key}\ndef "), 100, 20)

    def dead(number: int, request: dict[str, Any]) -> Reply:
        return error(401, f"{secrets['SECOND_KEY']} is no key of ours") if number >= 3 else echo(
            number, request, secrets["SECOND_KEY"]
        )  # fmt: skip

    with (
        endpoint(lambda n, r: echo(n, r, secrets["FIRST_KEY"])) as first,
        endpoint(dead) as second,
    ):
        models = "".join(
            f'[[proposer.models]]\nbase_url = "{server.url}"\napi_key_env = "{name}"\n'
            for server, name in ((first, "FIRST_KEY"), (second, "SECOND_KEY"))
        )
        config = write_config(tmp_path, "http://127.0.0.1:1", candidates=24, models=models)
        process = start(tmp_path, "run", config, **secrets)
        seen: dict[int, bytes] = {}
        ours = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        while process.poll() is None:
            for pid in descendants(process.pid):
                try:
                    # Between fork and exec a child shows the command and the environment of its parent.
                    if Path(f"/proc/{pid}/cmdline").read_bytes() == ours:
                        continue
                    seen[pid] = seen.get(pid, b"") + Path(f"/proc/{pid}/environ").read_bytes()
                except OSError:
                    continue
            time.sleep(0.001)
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    check_whole(tmp_path, 24)
    assert set(first.keys) == {f"Bearer {secrets['FIRST_KEY']}"}
    assert set(second.keys) == {f"Bearer {secrets['SECOND_KEY']}"}
    assert len([environment for environment in seen.values() if environment]) >= 2, "a worker and its zygote"
    files = {str(path): path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    texts = {**files, "stdout": stdout.encode(), "stderr": stderr.encode()}
    texts |= {f"environment of {pid}": environment for pid, environment in seen.items()}
    texts |= {f"prompt {i}": text.encode() for i, text in enumerate([*first.prompts, *second.prompts])}
    for secret in secrets.values():
        assert not [name for name, text in texts.items() if secret.encode() in text]
    assert any("your key: [key]" in text for (text,) in rows(tmp_path, "SELECT text FROM answer"))
    assert any("# [key]" in text for text in [*first.prompts, *second.prompts]), "parents were to show what they hold"


def test_no_program_is_run_to_learn_about_the_machine(tmp_path: Path) -> None:
    """Python's `platform` module would run `uname` with our environment: neither we nor the client let it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, subprocess\n"
        "_init = subprocess.Popen.__init__\n"
        "def noting(self, args, *rest, **named):\n"
        "    if named.get('env') is None:\n"
        f"        os.write(os.open({str(tmp_path / 'spawned')!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY),"
        " (str(args) + '\\n').encode())\n"
        "    _init(self, args, *rest, **named)\n"
        "subprocess.Popen.__init__ = noting\n"
    )
    with endpoint(rule) as server:
        config = write_config(tmp_path, server.url)
        result = finished(discover("run", config, cwd=tmp_path, PYTHONPATH=with_path(tmp_path)))
    assert result.returncode == 0, result.stderr
    spawned = (tmp_path / "spawned").read_text() if (tmp_path / "spawned").exists() else ""
    assert "uname" not in spawned


# ---- Ctrl-C


def test_ctrl_c_keeps_the_answers_in_flight(tmp_path: Path) -> None:
    """Interrupted with calls in flight, the run begins no other, waits for them, and resume does not ask again."""
    go = threading.Event()

    def answer(number: int, request: dict[str, Any]) -> Reply:
        assert number < 2 or go.wait(60)
        return rule(number, request)

    with endpoint(answer) as server:
        config = write_config(tmp_path, server.url, candidates=20, proposer="concurrency = 3")
        process = start(tmp_path, "run", config)
        wait_until(lambda: len(server.requests) == 5 and count(tmp_path, "answer") == 2)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it was to wait for the calls in flight"
        go.set()
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "3 calls in flight, waiting for their answers" in stderr
        assert "Traceback" not in stderr
        assert "interrupted after " in stderr
        assert len(server.requests) == 5, "calls were begun after Ctrl-C"
        assert [call[0] for call in calls(tmp_path)] == ["answered"] * 5
        assert resume(tmp_path).returncode == 0
        assert len(server.requests) == 20
    check_whole(tmp_path, 20)


def test_a_second_ctrl_c_gives_up(tmp_path: Path) -> None:
    """Who does not want to wait need not; the calls given up count as they might have been billed."""
    go = threading.Event()

    def answer(number: int, request: dict[str, Any]) -> Reply:
        assert number < 2 or go.wait(60)
        return rule(number, request)

    with endpoint(answer) as server:
        config = write_config(tmp_path, server.url, candidates=8, proposer="concurrency = 3")
        process = start(tmp_path, "run", config)
        wait_until(lambda: len(server.requests) == 5 and count(tmp_path, "answer") == 2)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        spent = spending(tmp_path)
        assert (spent.calls, spent.charge - spent.held) == (5, Charge(240))
        go.set()
        assert resume(tmp_path).returncode == 0
    check_whole(tmp_path, 8)
    assert [call[0] for call in calls(tmp_path)].count(None) == 3
    assert len(server.requests) == 11


def test_ctrl_c_ends_the_wait_for_calls_in_flight(tmp_path: Path) -> None:
    """A run that failed and waits for calls in flight lets go of all of them at the first Ctrl-C."""
    go = threading.Event()

    def answer(number: int, request: dict[str, Any]) -> Reply:
        if server.calls[number].key.split("-")[1] == "0":  # the candidate the search waits for
            time.sleep(0.5)
            return error(401, "who are you?")
        assert go.wait(60)
        return rule(number, request)

    with endpoint(answer) as server:
        process = start(tmp_path, "run", write_config(tmp_path, server.url, proposer="concurrency = 3"))
        wait_until(lambda: count(tmp_path, "settled") > 0)
        time.sleep(1)
        assert process.poll() is None, "it was to wait for the calls in flight"
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        go.set()
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert len(server.requests) == 3
