"""A real HTTP server on loopback that speaks just enough of the OpenAI Files and Batch APIs for tests."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.discovery.runs import result_line

PAGE = 1
"""Batches on a page of their list."""


@dataclass
class BatchServer:
    """The server's address, what it holds, and how it behaves.

    `answer` makes the line for one request; those for which `fails` go to the error file. A batch ends at look number
    `looks`, as `ends` says. `created` is called with each new batch before its creator hears of it. `faults`: statuses
    given to the next looks.
    """

    url: str = ""
    looks: int = 2
    ends: str = "completed"
    says: str = "the file is no good"
    answer: Callable[[dict[str, Any]], str] = result_line
    fails: Callable[[dict[str, Any]], str | None] = lambda request: None
    created: Callable[[dict[str, Any]], None] = lambda batch: None
    looked: Callable[[dict[str, Any]], None] = lambda batch: None
    faults: list[int] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start a batch; its input must be what the API takes."""
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].decode().splitlines()]
        assert body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h"
        for line in lines:
            assert set(line) == {"custom_id", "method", "url", "body"}
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
        assert len({line["custom_id"] for line in lines}) == len(lines) > 0
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "completion_window": "24h",
            "created_at": 0,
            "input_file_id": body["input_file_id"],
            "metadata": body["metadata"],
            "status": "validating",
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.batches[str(batch["id"])] = batch
        self.created(batch)
        return batch

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch, which goes on by being looked at."""
        batch["looks"] = batch.get("looks", 0) + 1
        self.looked(batch)
        if batch["looks"] >= self.looks and batch["status"] != self.ends:
            self.end(batch)
        elif batch["status"] == "validating":
            batch["status"] = "in_progress"
        return batch

    def end(self, batch: dict[str, Any]) -> None:
        """Write its files."""
        batch["status"] = self.ends
        if self.ends == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "invalid", "message": self.says, "line": 1}]}
            return
        good, bad = [], []
        for line in self.files[batch["input_file_id"]].decode().splitlines():
            request = json.loads(line)
            error = self.fails(request)
            (good if error is None else bad).append(self.answer(request) if error is None else error)
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[name] = f"file-{len(self.files)}"
                self.files[batch[name]] = "".join(reversed(lines)).encode()


@contextmanager
def batch_endpoint(server: BatchServer) -> Iterator[BatchServer]:
    """Serve on a free port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                self._note()
                if self.path == "/v1/files":
                    head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                    message = email.message_from_bytes(head + data, policy=email.policy.HTTP)
                    parts = {
                        part.get_param("name", header="content-disposition"): part for part in message.iter_parts()
                    }
                    assert parts["purpose"].get_content().strip() == "batch"
                    file_id = f"file-{len(server.files)}"
                    server.files[file_id] = parts["file"].get_payload(decode=True)
                    self._send(200, {"id": file_id, "object": "file", "purpose": "batch", "bytes": 1})
                else:
                    assert self.path == "/v1/batches"
                    self._send(200, server.create(json.loads(data)))

        def do_GET(self) -> None:
            with lock:
                self._note()
                parts = urlsplit(self.path)
                kind, _, name = parts.path.removeprefix("/v1/").partition("/")
                if kind == "files":
                    self._send(200, server.files[name.removesuffix("/content")])
                elif name:
                    status = server.faults.pop(0) if server.faults else 200
                    fault = {"error": {"message": "busy"}}
                    self._send(status, server.look(server.batches[name]) if status == 200 else fault)
                else:
                    self._list(parse_qs(parts.query))

        def _list(self, query: dict[str, list[str]]) -> None:
            newest_first = list(reversed(server.batches.values()))
            after = query.get("after", [""])[0]
            start = next((i + 1 for i, batch in enumerate(newest_first) if batch["id"] == after), 0)
            page = newest_first[start : start + PAGE]
            more = start + PAGE < len(newest_first)
            ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
            self._send(200, {"object": "list", "data": page, "has_more": more, **ends})

        def _note(self) -> None:
            server.asked.append(f"{self.command} {urlsplit(self.path).path}")
            server.keys.add(self.headers.get("Authorization", ""))

        def _send(self, status: int, body: Any) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream" if body is content else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    http = Server(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
