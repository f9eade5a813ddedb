"""One HTTP/1.1 request a connection, its reply handed on line by line with the time of arrival.

A client that takes hundreds of microseconds a token would measure itself, so this one does what a latency measurement
needs and no more: a connection is opened before it is needed, each line is stamped when its last byte is read, and
nothing is copied twice. Bodies may be chunked, of a given length, or end with the connection (RFC 9112, section 6).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

from engine_bridge.replay.server import Broken

OnLine = Callable[[float, bytes], None]

MOST_HEAD = 64 << 10
"""Bytes of a reply's head; more is no HTTP."""
MOST_LINE = 64 << 20
"""Bytes of a line: the page of a server's metrics may be one chunk."""


class HttpError(Broken):
    """A request got no proper reply of this protocol."""


class Unreachable(HttpError):
    """Nobody listens, or the connection broke."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. path: what its paths start with, without /v1."""

    host: str
    port: int
    tls: bool
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address in `http://host:port/path`.

        Raises:
            ValueError: it is no http or https address.
        """
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port
            good = False
        if not good or parts.hostname is None:
            raise ValueError(f"'{url}' is no address of a server; give one such as http://127.0.0.1:8000")
        tls = parts.scheme == "https"
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.tls}://{host}:{self.port}{self.path}"


class Connection(asyncio.Protocol):
    """One request and its reply; made by `connect`."""

    def __init__(self, address: Address, on_line: OnLine) -> None:
        self._address = address
        self._on_line = on_line
        self._head = bytearray()
        self._body: _Body | None = None
        self._lines = bytearray()
        self._over = asyncio.get_running_loop().create_future()
        # A connection that breaks while nobody waits for its reply any more is no news.
        self._over.add_done_callback(lambda over: over.cancelled() or over.exception())
        self.status = 0

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send the request; the reply's lines go to `on_line`."""
        lines = [
            f"{method} {self._address.path}{path} HTTP/1.1",
            f"Host: {self._address.host}:{self._address.port}",
            "Connection: close",
            "Accept-Encoding: identity",
            f"Content-Length: {len(body)}",
            *(["Content-Type: application/json"] if body else []),
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def reply(self, seconds: float | None = None) -> int:
        """The status, when the whole reply is here.

        Raises:
            HttpError: it is no HTTP.
            Unreachable: the connection broke before its end, or that took longer than `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._over
        except TimeoutError:
            raise Unreachable(f"no complete reply within {seconds:g} s") from None
        finally:
            self._transport.abort()
        return self.status

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what came apart."""
        now = perf_counter()
        if self._over.done():
            return
        try:
            if self._body is None:
                data = self._read_head(data)
            if self._body is not None:
                self._take(now, self._body.feed(data))
                if self._body.ended:
                    self._finish(now)
        except HttpError as error:
            self._over.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone: fine where the body ends like that."""
        if self._over.done():
            return
        if self._body is not None and self._body.until_close and exc is None:
            self._finish(perf_counter())
        else:
            when = "in the middle of its reply" if self._head or self._body else "before it replied"
            self._over.set_exception(Unreachable(f"the connection broke {when}{f' ({exc})' if exc else ''}"))

    def _read_head(self, data: bytes) -> bytes:
        """Read the head if it is complete; what follows it."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > MOST_HEAD or not self._head.startswith(b"HTTP/"[: len(self._head)]):
                raise HttpError(f"no HTTP reply, but {bytes(self._head[:40])!r}")
            return b""
        first, *lines = bytes(self._head[:end]).decode("latin-1").split("\r\n")
        rest = bytes(self._head[end + 4 :])
        self._head.clear()
        parts = first.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
            raise HttpError(f"no HTTP/1.1 reply, but {first[:40]!r}")
        self.status = int(parts[1])
        if 100 <= self.status < 200:  # interim; the reply proper follows
            return self._read_head(rest) if rest else b""
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._body = _Body(fields)
        return rest

    def _take(self, now: float, data: bytes) -> None:
        """Hand on the lines that are complete."""
        if not data:
            return
        self._lines += data
        if len(self._lines) > MOST_LINE:
            raise HttpError(f"a line of more than {MOST_LINE >> 20} MiB")
        *lines, rest = self._lines.split(b"\n")
        self._lines = bytearray(rest)
        for line in lines:
            self._on_line(now, bytes(line))

    def _finish(self, now: float) -> None:
        """Hand on the last line, which needs no end."""
        if self._lines:
            self._on_line(now, bytes(self._lines))
        self._over.set_result(None)


class _Body:
    """Takes the framing off a body."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """Find out how the body ends.

        Raises:
            HttpError: a length is no number.
        """
        self._chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        length = fields.get("content-length")
        if length is not None and not length.isdecimal():
            raise HttpError(f"the Content-Length is {length[:20]!r}")
        self.until_close = not self._chunked and length is None
        self._left = 0 if self._chunked or length is None else int(length)
        self._buffer = bytearray()
        self._trailer = False
        self.ended = not self._chunked and length is not None and self._left == 0

    def feed(self, data: bytes) -> bytes:
        """What of `data` is content.

        Raises:
            HttpError: the framing is broken.
        """
        if self.until_close:
            return data
        if not self._chunked:
            content = data[: self._left]
            self._left -= len(content)
            self.ended = self._left == 0
            return content
        self._buffer += data
        return b"".join(iter(self._chunk, b""))

    def _chunk(self) -> bytes:
        """Content of the next chunk, or of the part of it that is here; nothing if there is none."""
        if self._left == 0 and not self._next():
            return b""
        # Two more bytes stand at the end of each chunk; they are waited for, and dropped.
        here = min(len(self._buffer), self._left)
        content = bytes(self._buffer[: min(here, self._left - 2)])
        gone = here if here == self._left else len(content)
        del self._buffer[:gone]
        self._left -= gone
        return content or (self._chunk() if gone else b"")

    def _next(self) -> bool:
        """Read the size of the next chunk; whether there is one."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise HttpError("a chunk without a size")
            return False
        line = bytes(self._buffer[:end]).partition(b";")[0].strip()
        del self._buffer[: end + 2]
        if self._trailer:  # fields after the last chunk, up to an empty line
            self.ended = not line
            return False if self.ended else self._next()
        try:
            size = int(line, 16)
        except ValueError:
            raise HttpError(f"a chunk of the size {line[:20]!r}") from None
        if size == 0:
            self._trailer = True
            return self._next()
        self._left = size + 2
        return True


@cache
def _trusted() -> ssl.SSLContext:
    """What certificates are checked by; made once, as reading the authorities takes a while."""
    return ssl.create_default_context()


async def connect(address: Address, on_line: OnLine) -> Connection:
    """An open connection that has not been used yet.

    Raises:
        Unreachable: nobody listens, the name is unknown, or the certificate is not trusted.
    """
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(address, on_line),
            address.host,
            address.port,
            ssl=_trusted() if address.tls else None,
        )
    except OSError as error:
        raise Unreachable(f"cannot connect: {error.strerror or error}") from None
    return connection


async def fetch(
    address: Address, path: str, *, seconds: float, method: str = "GET", body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:  # fmt: skip
    """Status and body of a short request.

    Raises:
        HttpError: there is no proper reply within `seconds`.
    """
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            connection = await connect(address, lambda _, line: lines.append(line))
            connection.send(method, path, body, headers)
            status = await connection.reply()
    except TimeoutError:
        raise Unreachable(f"no reply within {seconds:g} s") from None
    return status, b"\n".join(lines)
