"""A real HTTP server on loopback that speaks just enough of the OpenAI chat API for tests, and misbehaves on demand."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MDD_LIKE = "```python\nimport numpy as np\n\ndef priority(p, d, t):\n    return np.maximum(t + {c} * p, d)\n```"


@dataclass(frozen=True)
class Reply:
    """What the server sends back; `body` is JSON unless it is text or bytes.

    It begins after `delay` seconds, and comes a byte every `drip` seconds if that is not 0. The connection is reset
    after `reset_after` bytes of the body (0: before the first byte of the reply). `length`: the Content-Length it
    claims to have.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    reset_after: int | None = None
    length: int | None = None

    @property
    def usage(self) -> tuple[int, int] | None:
        """The tokens in and out it says were used."""
        record = self.body.get("usage") if isinstance(self.body, dict) else None
        return (record["prompt_tokens"], record["completion_tokens"]) if record else None


@dataclass
class Call:
    """A call as the server saw it: when it came and was done with (monotonic seconds), and what it was answered."""

    number: int
    request: dict[str, Any]
    key: str
    began: float
    ended: float = float("inf")
    reply: Reply | None = None


@dataclass
class Endpoint:
    """The server's address, what it has been asked so far, and which answers it would send a bill for.

    With `idempotent` a call under a known Idempotency-Key gets the answer made for the first one, and is billed once.
    """

    url: str
    idempotent: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    billed: list[Reply] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        """What it was asked, in order."""
        return [str(request["messages"][0]["content"]) for request in self.requests]

    @property
    def peak(self) -> int:
        """The most calls it had at once."""
        # A call that ends is taken off before one that begins at the same moment is counted.
        changes = sorted([(call.began, 1) for call in self.calls] + [(call.ended, -1) for call in self.calls])
        now = most = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        return most


def completion(text: str, prompt_tokens: Any = 100, completion_tokens: Any = 20, finish: str = "stop") -> Reply:
    """A chat completion, well-formed if its usage figures are."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    if isinstance(prompt_tokens, int) and isinstance(completion_tokens, int):
        usage["total_tokens"] = prompt_tokens + completion_tokens
    return Reply(
        body={
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "mock",
            "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
            "usage": usage,
        }
    )


def error(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """An error as the API words it; header names have `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": {"message": message, "type": "error", "code": code}}, named)


def closed_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the client was killed while it sent this
            self.close_connection = True
            return
        request = json.loads(body)
        call = self.server.note(request, self.headers.get("Authorization", ""), self.headers.get("Idempotency-Key", ""))
        reply = call.reply = self.server.reply_to(call)
        try:
            self._send(reply)
        except OSError:  # the client is gone
            self.close_connection = True
        finally:
            call.ended = time.monotonic()

    def do_GET(self) -> None:
        self._send(Reply(body={"object": "list", "data": [{"id": "mock", "object": "model"}]}))

    def _send(self, reply: Reply) -> None:
        is_json = not isinstance(reply.body, str | bytes)
        text = json.dumps(reply.body) if is_json else reply.body
        body = text.encode() if isinstance(text, str) else text
        time.sleep(reply.delay)
        if reply.reset_after != 0:
            self.send_response_only(reply.status)
            date = {"Date": self.date_time_string()}
            kind = {"Content-Type": "application/json" if is_json else "text/html"}
            length = {"Content-Length": str(len(body) if reply.length is None else reply.length)}
            for name, value in {**date, **kind, **reply.headers, **length}.items():
                self.send_header(name, value)
            self.end_headers()
        if reply.reset_after is not None:
            self.wfile.write(body[: reply.reset_after])
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # with no lingering a close is a reset
            self.close_connection = True
        elif reply.drip:
            for position in range(len(body)):
                self.wfile.write(body[position : position + 1])
                time.sleep(reply.drip)
        else:
            self.wfile.write(body)
        if reply.length is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, answer: Callable[[int, dict[str, Any]], Reply], *, idempotent: bool) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.served = Endpoint(f"http://127.0.0.1:{self.server_address[1]}/v1", idempotent)
        self._answer = answer
        self._lock = threading.Lock()
        self._known: dict[str, tuple[threading.Lock, list[Reply]]] = {}

    def note(self, request: dict[str, Any], authorization: str, key: str) -> Call:
        """Write a call down."""
        with self._lock:
            call = Call(len(self.served.calls), request, key, time.monotonic())
            self.served.calls.append(call)
            self.served.requests.append(request)
            self.served.keys.append(authorization)
        return call

    def reply_to(self, call: Call) -> Reply:
        """The reply to a call; a good one is kept for others with the same key, if keys are honoured."""
        if not self.served.idempotent:
            return self._work(call)
        with self._lock:
            lock, kept = self._known.setdefault(call.key, (threading.Lock(), []))
        with lock:
            if kept:
                return replace(kept[0], delay=0.0, drip=0.0, reset_after=None, length=None)
            reply = self._work(call)
            if reply.status == 200:
                kept.append(reply)
            return reply

    def _work(self, call: Call) -> Reply:
        reply = self._answer(call.number, call.request)
        if reply.status == 200:
            with self._lock:
                self.served.billed.append(reply)
        return reply

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def endpoint(
    answer: Callable[[int, dict[str, Any]], Reply], *, port: int = 0, idempotent: bool = False
) -> Iterator[Endpoint]:
    """Serve on a free port, or on `port`; `answer(i, request)` gives the reply to call number i (from 0)."""
    server = _Server(port, answer, idempotent=idempotent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.served
    finally:
        server.shutdown()
        server.server_close()
