"""Runs of the tiny problem with any proposer, a model that is nothing but a function, and what archives say."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.discovery.conftest import discover
from tests.discovery.tiny_run import PROBLEM
from tests.endpoint import completion

CONFIG = """
[run]
problem = "{problem}:Tiny"
seed = 5
name = "{name}"

[search]
{search}

[evaluation]
workers = 1
promote = 3
finalists = 2

[budget]
candidates = {candidates}
{budget}

[proposer]
{proposer}
"""


def write_config(
    folder: Path, proposer: str, *, name: str = "r", candidates: int = 8, budget: str = "", search: str = ""
) -> Path:
    """A config for a run of the tiny problem; `proposer`, `budget` and `search` are lines for its sections.

    Unless `search` names operators there is no tuning, which asks nobody: every candidate is a request.
    """
    if "operators" not in search:
        search = f"{search}\noperators = {{tune = 0}}"
    path = folder / f"{name}.toml"
    text = CONFIG.format(
        problem=PROBLEM, name=name, proposer=proposer, candidates=candidates, budget=budget, search=search
    )
    path.write_text(text)
    return path


def reply(prompt: str) -> str:
    """A model's answer: nothing but the prompt decides it; most hold a rule, a few fail or hold no code."""
    draw = int(hashlib.sha256(prompt.strip().encode()).hexdigest()[:8], 16)
    if draw % 11 == 0:
        return "I had rather not."
    fault = "1 / 0" if draw % 13 == 0 else f"p / w**{draw % 97 / 40} + {draw % 7} * np.sin(p * {draw % 19})"
    return (
        f"A waved ratio — “{draw % 97}\u2028as ever”.\n```python\nimport numpy as np\n\n\n"
        f"def priority(p, w, t):\n    return {fault}\n```"
    )


def result_line(request: dict[str, Any], tokens: tuple[int, int] = (100, 20)) -> str:
    """The model's answer to one line of a batch, as a line of a results file; not escaped, as some endpoints do."""
    text = reply(request["body"]["messages"][0]["content"])
    response = {"status_code": 200, "request_id": "r", "body": completion(text, *tokens).body}
    record = {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}
    return json.dumps(record, ensure_ascii=False) + "\n"


def error_line(key: str, message: str = "overloaded") -> str:
    """A line of a batch's error file."""
    return (
        json.dumps({"id": "b", "custom_id": key, "response": None, "error": {"code": "x", "message": message}}) + "\n"
    )


def requests_of(folder: Path, name: str = "r") -> list[dict[str, Any]]:
    """The requests in a run's batch file."""
    text = (folder / "runs" / name / "batch" / "requests.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def query(folder: Path, sql: str, name: str = "r") -> list[tuple[Any, ...]]:
    """What a query on a run's archive gives."""
    db = sqlite3.connect(f"{(folder / 'runs' / name / 'archive.db').as_uri()}?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def history(folder: Path, name: str = "r") -> list[tuple[Any, ...]]:
    """Everything about a run's candidates that must not depend on timing, or on how answers came."""
    return query(
        folder,
        "SELECT number, island, operator, parents, prompt, text, source, outcome.verdict, outcome.detail, score,"
        " outcome.signature, costs FROM request JOIN answer USING (number) JOIN outcome USING (number)"
        " LEFT JOIN evaluation ON heuristic = CAST(number AS TEXT) AND split = 'train' ORDER BY number",
        name,
    )


def owed(folder: Path, name: str = "r") -> tuple[int, float]:
    """Tokens and money of all calls, those without an end at the most they may cost."""
    rows = query(
        folder,
        "SELECT coalesce(sum(coalesce(settled.tokens, call.tokens)), 0),"
        " coalesce(sum(coalesce(settled.cost, call.cost)), 0) FROM call LEFT JOIN settled ON settled.call = call.id",
        name,
    )
    return int(rows[0][0]), float(rows[0][1])


def board(folder: Path, name: str = "r") -> list[dict[str, Any]]:
    """The whole leaderboard as JSON, less the run's name."""
    result = discover("leaderboard", name, "--limit", "1000", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    for row in rows:
        assert row.pop("run") == Path(name).name
    return rows
