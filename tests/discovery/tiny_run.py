"""Short runs of the tiny problem against an endpoint, with the real command, and what their archives say."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discovery.archive import Archive
from discovery.budget import Budget, Spending
from discovery.ledger import Ledger
from tests.discovery.conftest import discover
from tests.endpoint import Reply, completion

PROBLEM = Path(__file__).parent / "tiny.py"
CANDIDATES = 6
MAX_TOKENS = 60
RULE = "```python\n# {number}\ndef priority(p, w, t):\n    return p / w**{power}\n```"


def rule(number: int, request: dict[str, Any]) -> Reply:
    """An answer with a heuristic of its own, of 100 tokens in and 20 out."""
    return completion(RULE.format(number=number, power=1 + number / 64), 100, 20)


def write_config(
    folder: Path,
    url: str,
    *,
    candidates: int = CANDIDATES,
    backoff: float = 0.01,
    budget: str = "",
    proposer: str = "",
    models: str = "",
) -> Path:
    """The config `tiny.toml`; `budget`, `proposer` and `models` are lines for its sections.

    There is no tuning, which asks nobody: every candidate is a call.
    """
    path = folder / "tiny.toml"
    path.write_text(f"""
[run]
problem = "{PROBLEM}:Tiny"
name = "tiny"

[search]
operators = {{tune = 0}}

[evaluation]
workers = 1
promote = 1
finalists = 1

[budget]
candidates = {candidates}
{budget}

[proposer]
kind = "openai"
model = "mock"
base_url = "{url}"
max_tokens = {MAX_TOKENS}
backoff = {backoff}
{proposer}
{models}
""")
    return path


def run(folder: Path, url: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Start the run `tiny` in `folder` and wait for it."""
    return finished(discover("run", write_config(folder, url, **settings), cwd=folder))


def resume(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Go on with it."""
    arguments = [part for setting in settings for part in ("--set", setting)]
    return finished(discover("resume", "tiny", *arguments, cwd=folder))


def finished(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The result, which never has a traceback in it."""
    assert "Traceback" not in result.stderr, result.stderr
    return result


def start(folder: Path, *arguments: str | Path, **env: str) -> subprocess.Popen[str]:
    """The command, running in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "discovery.cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    """Tests that run in the background of a shell inherit from it that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """A query on the run's archive."""
    with sqlite3.connect(f"{(folder / 'runs/tiny/archive.db').as_uri()}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def count(folder: Path, table: str) -> int:
    """Rows of a table; none before it is there."""
    try:
        return int(rows(folder, f"SELECT count(*) FROM {table}")[0][0])
    except sqlite3.OperationalError:
        return 0


def calls(folder: Path) -> list[tuple[Any, ...]]:
    """Outcome, tokens charged and tokens reserved of every call, in order."""
    return rows(
        folder,
        "SELECT outcome, coalesce(settled.tokens, call.tokens), call.tokens"
        " FROM call LEFT JOIN settled ON settled.call = call.id ORDER BY call.id",
    )


def spending(folder: Path) -> Spending:
    """What the next session would take for spent."""
    with Archive(folder / "runs" / "tiny", "read") as archive:
        return Ledger(archive, Budget(candidates=1)).spending


def history(folder: Path) -> list[tuple[Any, ...]]:
    """All there is about the candidates that were answered and judged, in order."""
    return rows(
        folder,
        "SELECT number, operator, parents, prompt, answer.text, answer.input_tokens, answer.output_tokens,"
        " outcome.verdict, outcome.score, outcome.signature"
        " FROM request JOIN answer USING (number) JOIN outcome USING (number) ORDER BY number",
    )


def check_whole(folder: Path, candidates: int = CANDIDATES) -> None:
    """Every candidate was asked for, answered once, and judged once, and none but those."""
    numbers = list(range(candidates))
    for table in ("request", "answer", "outcome"):
        assert [row[0] for row in rows(folder, f"SELECT number FROM {table} ORDER BY number")] == numbers, table


def events(folder: Path) -> list[tuple[str, str]]:
    """What happened to the run, and the details."""
    return [(kind, detail) for kind, detail in rows(folder, "SELECT kind, detail FROM event ORDER BY rowid")]


def leaderboard(folder: Path) -> Any:
    """The leaderboard as JSON."""
    return json.loads(discover("leaderboard", "tiny", "--json", cwd=folder).stdout)
