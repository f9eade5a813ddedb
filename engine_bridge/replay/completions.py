"""The streaming completions API: what a request asks for, and when which tokens came.

How many tokens an event carries is told by the usage in it where the server sends one with every event (vLLM,
`continuous_usage_stats`); elsewhere an event counts as one token, and the usage at the end, if there is one, says how
many there were in all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PATH = "/v1/completions"
FORCED: Mapping[str, Any] = {"ignore_eos": True}
"""What makes a server go on to `max_tokens`, beside `min_tokens`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server understands beyond the API itself, found out by asking (`http_server.survey`).

    forced: it lets output lengths be forced. hints: it takes arguments for its scheduler (vLLM, `vllm_xargs`).
    usage: it takes `stream_options`.
    """

    forced: bool = True
    hints: bool = True
    usage: bool = True

    @property
    def described(self) -> str:
        """How output lengths come about, for every result."""
        return "output lengths forced" if self.forced else "output lengths are the server's own, cut where too long"


DIALECTS = (Dialect(), Dialect(hints=False), Dialect(forced=False, hints=False), Dialect(False, False, False))
"""From vLLM's to the plain API, in the order in which they are tried."""


def request_body(
    model: str, prompt: str | Sequence[int], output: int, dialect: Dialect, hints: Mapping[str, float]
) -> bytes:
    """The body of one request for `output` tokens; `hints` are told to the scheduler where that is understood."""
    body: dict[str, Any] = {
        "model": model,
        "prompt": prompt,
        "max_tokens": output,
        "temperature": 0,
        "stream": True,
    }
    if dialect.usage:
        body["stream_options"] = {"include_usage": True}
    if dialect.forced:
        body |= {**FORCED, "min_tokens": output}
    if dialect.hints:
        body["stream_options"]["continuous_usage_stats"] = True
        body["vllm_xargs"] = dict(hints)
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(slots=True)
class Stream:
    """What one reply has brought so far.

    times, counts: of each event with tokens, and how many; seen: those in all. tokens, prompt, cached: totals as the
    server counts them; 0 and None where it says nothing. error: what it reported. text: the start of a reply that is
    no stream. ended: whether it said that it was done.
    """

    times: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seen: int = 0
    tokens: int = 0
    prompt: int = 0
    cached: int | None = None
    error: str = ""
    text: bytes = b""
    ended: bool = False

    def take(self, now: float, line: bytes) -> None:
        """Read one line of the reply."""
        if not line.startswith(b"data:"):
            if len(self.text) < 2000 and line.strip() and not line.startswith(b":"):
                self.text += line.strip() + b" "
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            self.error = self.error or f"an event is {data[:60].decode(errors='replace')!r}, no JSON object"
            return
        self._event(now, event)

    def add(self, now: float, count: int) -> None:
        """Note `count` tokens that have come."""
        if count > 0:
            self.times.append(now)
            self.counts.append(count)
            self.seen += count

    @property
    def served(self) -> int:
        """Output tokens, as the server counts them or else by events."""
        return self.tokens or self.seen

    def _event(self, now: float, event: dict[str, Any]) -> None:
        if "error" in event:
            self.error = self.error or message_of(event)
            return
        usage = event.get("usage")
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        if isinstance(usage, dict):
            self._usage(usage)
        if choice is None:
            return
        count = self.tokens - self.seen if isinstance(usage, dict) else int(bool(choice.get("text")))
        self.add(now, count)

    def _usage(self, usage: dict[str, Any]) -> None:
        self.tokens = max(self.tokens, _whole(usage.get("completion_tokens")))
        self.prompt = max(self.prompt, _whole(usage.get("prompt_tokens")))
        details = usage.get("prompt_tokens_details")
        if isinstance(details, dict) and "cached_tokens" in details:
            self.cached = _whole(details["cached_tokens"])


def message_of(reply: object) -> str:
    """The message of an error as the API or FastAPI words it; what came otherwise."""
    found: object = reply
    if isinstance(reply, dict):
        found = reply.get("error", reply.get("message", reply.get("detail", reply)))
        if isinstance(found, dict):
            found = found.get("message", found)
    text = found if isinstance(found, str) else json.dumps(found)
    return " ".join(text.split())[:300]


def message_in(text: bytes) -> str:
    """The same of a body that has not been read yet."""
    try:
        return message_of(json.loads(text))
    except ValueError:
        return " ".join(text.decode(errors="replace").split())[:200] or "nothing"


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
