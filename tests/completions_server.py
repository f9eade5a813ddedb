"""A real HTTP server on loopback that streams completions as vLLM does, with a queue, and misbehaves on demand.

    python -m tests.completions_server --host 127.0.0.1 --port 8000 [--scheduler-cls scheduler.PolicyScheduler]

As a program it stands in for `vllm serve`: with a scheduler class it must find that class's module on its path, and
then says so in its metrics.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KNOWN = {"model", "prompt", "max_tokens", "temperature", "stream", "stream_options"}
VLLM_ONLY = {"ignore_eos", "min_tokens", "vllm_xargs"}


@dataclass(kw_only=True)
class Behaviour:
    """How the server is.

    slots: requests served at a time; the others wait in order of arrival. token: seconds per output token.
    vllm: it knows vLLM's own arguments, counts tokens in every event and says what it is; else it refuses them (400).
    usage: a server that is not vLLM tells the usage at the end. together: tokens in one event. ids: it takes token ids.
    stop_after: it ends the text after so many tokens where it is not forced. refuse: numbers of the requests that get
    HTTP 500. die_after: so many requests on it resets all connections and listens no more. hang_after: … it goes
    silent. key: what it wants for one. policy: it tells of a scheduling policy in its metrics. longest: max_model_len.
    """

    slots: int = 8
    token: float = 0.002
    vllm: bool = True
    usage: bool = True
    together: int = 1
    ids: bool = True
    stop_after: int = 10**9
    refuse: tuple[int, ...] = ()
    die_after: int | None = None
    hang_after: int | None = None
    key: str = ""
    policy: bool = False
    longest: int = 100_000


@dataclass
class Call:
    """A request to complete as the server saw it: when it came, and when its first and last token were sent (s)."""

    body: dict[str, Any]
    came: float
    first: float = 0.0
    last: float = 0.0


@dataclass
class Served:
    """The server's address and what it was asked, in the order of coming."""

    url: str
    calls: list[Call] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        behaviour = self.server.behaviour
        if behaviour.key and self.headers.get("Authorization") != f"Bearer {behaviour.key}":
            self._send(401, {"error": "no key"})
        elif self.path == "/v1/models":
            model = {"id": "tiny", "object": "model"} | ({"max_model_len": behaviour.longest} if behaviour.vllm else {})
            self._send(200, {"object": "list", "data": [model]})
        elif self.path == "/health" and behaviour.vllm:
            self._send(200, b"")
        elif self.path == "/version" and behaviour.vllm:
            self._send(200, {"version": "0.32.0"})
        elif self.path == "/metrics" and behaviour.vllm:
            self._send(200, self.server.metrics().encode())
        else:
            self._send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour = self.server.behaviour
        unknown = set(body) - KNOWN - (VLLM_ONLY if behaviour.vllm else set())
        if unknown:
            self._send(400, {"error": {"message": f"unknown argument {min(unknown)}"}})
        elif not behaviour.ids and not isinstance(body["prompt"], str):
            self._send(400, {"error": {"message": "the prompt must be a string"}})
        else:
            self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        server, behaviour = self.server, self.server.behaviour
        call = Call(body, time.perf_counter())
        number = server.note(call)
        if number in behaviour.refuse:
            return self._send(500, {"error": {"message": "out of luck"}})
        if behaviour.die_after is not None and number >= behaviour.die_after:
            return server.die()
        if behaviour.hang_after is not None and number >= behaviour.hang_after:
            time.sleep(60)
        forced = behaviour.vllm and body.get("ignore_eos")
        tokens = body["max_tokens"] if forced else min(body["max_tokens"], behaviour.stop_after)
        self.send_response_only(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with server.turn(number):
            self._stream(call, tokens)
        return None

    def _stream(self, call: Call, tokens: int) -> None:
        behaviour = self.server.behaviour
        options = call.body.get("stream_options") or {}
        prompt = len(call.body["prompt"]) if isinstance(call.body["prompt"], list) else len(call.body["prompt"].split())
        for done in range(behaviour.together, tokens + behaviour.together, behaviour.together):
            time.sleep(behaviour.token * behaviour.together)
            done = min(done, tokens)
            event: dict[str, Any] = {"choices": [{"index": 0, "text": "" if behaviour.vllm and done == 2 else " on"}]}
            if options.get("continuous_usage_stats"):
                event["usage"] = {"prompt_tokens": prompt, "completion_tokens": done}
            call.last = time.perf_counter()
            call.first = call.first or call.last
            self._event(event)
        if options.get("include_usage") and (behaviour.vllm or behaviour.usage):
            self._event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": tokens}})
        self.server.finish(len(call.body["prompt"]), tokens)  # before the client can know that all is served, and look
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _send(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, port: int, behaviour: Behaviour) -> None:
        super().__init__((host, port), _Handler)
        self.behaviour = behaviour
        self.served = Served(f"http://{host}:{self.server_address[1]}")
        self._lock = threading.Condition()
        self._running = 0
        self._queue: list[int] = []
        self._steps = 0
        self._prompts = 0
        self._sockets: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember every connection, so that all can be reset."""
        found, address = super().get_request()
        self._sockets.append(found)
        return found, address

    def note(self, call: Call) -> int:
        """Write a call down; its number."""
        with self._lock:
            self.served.calls.append(call)
            return len(self.served.calls) - 1

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait for a free slot, in order of arrival."""
        with self._lock:
            self._queue.append(number)
            self._lock.wait_for(lambda: self._queue[0] == number and self._running < self.behaviour.slots)
            self._queue.pop(0)
            self._running += 1
            self._lock.notify_all()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._lock.notify_all()

    def finish(self, prompt: int, tokens: int) -> None:
        """Count what was served."""
        with self._lock:
            self._steps += tokens
            self._prompts += prompt

    def metrics(self) -> str:
        """A page in Prometheus' format, with a few of vLLM's figures."""
        lines = [
            "# HELP vllm:kv_cache_usage_perc KV-cache usage.",
            'vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25',
            'vllm:num_preemptions_total{engine="0"} 0',
            f'vllm:iteration_tokens_total_count{{engine="0"}} {self._steps}',
            f'vllm:prefix_cache_queries_total{{engine="0"}} {float(self._prompts)}',
            f'vllm:prefix_cache_hits_total{{engine="0"}} {self._prompts / 2}',
        ]
        if self.behaviour.policy:
            lines += [
                'scheduling_policy_active{engine="0"} 1.0',
                f'scheduling_policy_hook_seconds_sum{{engine="0"}} {self._steps * 5e-5}',
                f'scheduling_policy_hook_seconds_count{{engine="0"}} {self._steps}',
                f'scheduling_policy_fallbacks_total{{engine="0",function="rank_waiting",reason="crash"}} {self._steps}',
            ]
        return "\n".join(lines) + "\n"

    def die(self) -> None:
        """Reset all connections and listen no more, as a killed process does."""
        self.socket.close()
        for each in self._sockets:
            try:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()
            except OSError:
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is no news; anything else is."""
        if not isinstance(sys.exception(), (OSError, ValueError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def completions_server(**behaviour: Any) -> Iterator[Served]:
    """Serve on a free port."""
    server = _Server("127.0.0.1", 0, Behaviour(**behaviour))

    def serve() -> None:
        try:
            server.serve_forever(0.01)
        except (OSError, ValueError):  # it was made to die
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.served
    finally:
        if server.socket.fileno() >= 0:
            server.shutdown()
            server.server_close()


def main() -> None:
    """Stand in for `vllm serve`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--scheduler-cls")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--die-after", type=int)
    chosen = parser.parse_args()
    print("loading", flush=True)
    if chosen.broken:
        sys.exit("ValueError: no such model as this one")
    if chosen.scheduler_cls:
        module = chosen.scheduler_cls.rpartition(".")[0]
        assert any((Path(folder) / f"{module}.py").is_file() for folder in os.environ["PYTHONPATH"].split(os.pathsep))
        assert Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).is_dir()
    server = _Server(chosen.host, chosen.port, Behaviour(policy=bool(chosen.scheduler_cls), die_after=chosen.die_after))
    try:
        server.serve_forever()
    except (OSError, ValueError):
        sys.exit("died")


if __name__ == "__main__":
    main()
