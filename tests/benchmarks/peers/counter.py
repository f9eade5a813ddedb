"""One loopback server between every system and the model: it counts calls and tokens, and scores for the peers.

`/v1/chat/completions` hands requests on to the real endpoint, with the same temperature and longest answer for all, and
a seed made of the cell's and the call's number; after the last call of the budget it refuses. `/judge` scores a source.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.benchmarks.peers.task import Judge, record_of

TEMPERATURE = 0.8
MAX_TOKENS = 800
PATIENCE = 900.0
"""Seconds one call may take."""
REFUSED = {"error": {"message": "the budget of calls is used up", "type": "invalid_request_error", "code": "budget"}}


@dataclass(slots=True)
class Counter:
    """What a system did: its calls, and what it had judged. `judged`: calls answered by then, gap, verdict, source."""

    upstream: str
    model: str
    budget: int
    seed: int
    judge: Judge
    calls: list[dict[str, Any]] = field(default_factory=list)
    judged: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: int = 0
    at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: int = 0

    @property
    def spent(self) -> bool:
        """Whether every call of the budget was answered, or as many failed as it has."""
        return len(self.calls) >= self.budget or len(self.failed) >= self.budget

    def complete(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a request; only what was answered counts as a call."""
        with self._lock:
            if self._begun >= self.budget or self.spent:
                self.refused += 1
                return 403, REFUSED
            self._begun += 1
            number = self._begun
        request = {name: value for name, value in request.items() if name in ("messages", "stop")}
        limits = {"temperature": TEMPERATURE, "max_tokens": MAX_TOKENS, "seed": 1000 * self.seed + number}
        began = time.monotonic()
        status, body = self._forward({"model": self.model, **request, **limits})
        with self._lock:
            self.at = time.monotonic()
            if status != 200:
                self._begun -= 1
                self.failed.append(f"{status}: {json.dumps(body)[:300]}")
            else:
                usage = body.get("usage") or {}
                tokens = {"input": usage.get("prompt_tokens", 0), "output": usage.get("completion_tokens", 0)}
                self.calls.append({**tokens, "seconds": self.at - began})
        return status, body

    def score(self, source: str) -> dict[str, Any]:
        """The judgement of a source, noted."""
        with self._lock:
            answered = len(self.calls)
        found = record_of(self.judge(source))
        with self._lock:
            self.at = time.monotonic()
            self.judged.append({"calls": answered, **found, "source": source})
        return found

    def _forward(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        data = json.dumps(request).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        call = urllib.request.Request(f"{self.upstream}/chat/completions", data, headers)
        try:
            with urllib.request.urlopen(call, timeout=PATIENCE) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, {"error": {"message": error.read().decode(errors="replace"), "code": error.code}}
        except OSError as error:
            return 502, {"error": {"message": f"{self.upstream} does not answer: {error}", "code": 502}}


@contextmanager
def serving(counter: Counter) -> Iterator[str]:
    """The server's address, while it runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": counter.model, "object": "model"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/judge":
                self._send(200, counter.score(request["source"]))
            else:
                self._send(*counter.complete(request))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:  # a system that was ended waits for no answer
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
