"""A cache of answers: an identical request to the same model is answered from the file, at no cost."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import suppress
from pathlib import Path

from discovery.errors import UsageError
from discovery.proposers.base import Answer, Request
from discovery.proposers.completion import source_in
from discovery.proposers.settings import Model


class Cache:
    """An SQLite file of answers by request: endpoint, model, settings and prompt. Several runs may share it.

    One that fails later (the disk is full, another program holds it) finds and keeps nothing: no answer is lost for it.
    """

    def __init__(self, path: Path, function: str) -> None:
        """Open or make the file; `function` is what answers must define.

        Raises:
            UsageError: it cannot be opened.
        """
        self._function = function
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.execute("CREATE TABLE IF NOT EXISTS cached (request TEXT PRIMARY KEY, answer TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"proposer.cache: '{path}' cannot be opened as a cache: {error}") from error

    def find(self, model: Model, request: Request) -> Answer | None:
        """The answer to an identical request, if there was one; it costs nothing."""
        with suppress(sqlite3.Error):
            key = _key(model, request.prompt)
            row = self._db.execute("SELECT answer FROM cached WHERE request = ?", (key,)).fetchone()
            return Answer(row[0], source_in(row[0], self._function, request.base), model.model) if row else None
        return None

    def keep(self, model: Model, prompt: str, answer: Answer) -> None:
        """Keep an answer; the first one to a request stays."""
        with suppress(sqlite3.Error):
            self._db.execute("INSERT OR IGNORE INTO cached VALUES (?, ?)", (_key(model, prompt), answer.text))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _key(model: Model, prompt: str) -> str:
    request = json.dumps([model.base_url, model.body(prompt)], sort_keys=True)
    return hashlib.sha256(request.encode()).hexdigest()
