"""The HTTP client against replies as they really come: in pieces, framed in three ways, and broken."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_bridge.replay.http import Address, Connection, HttpError, Unreachable, fetch
from tests.endpoint import closed_port

HEAD = b"HTTP/1.1 200 OK\r\n"


def read_pieces(pieces: Sequence[bytes], *, eof: bool = False) -> tuple[int, list[bytes]]:
    """What a connection makes of a reply that comes in these pieces."""

    class Transport(asyncio.Transport):
        def abort(self) -> None:
            pass

    async def read() -> tuple[int, list[bytes]]:
        lines: list[bytes] = []
        connection = Connection(Address("h", 1, False, ""), lambda _, line: lines.append(line))
        connection.connection_made(Transport())
        for piece in pieces:
            connection.data_received(piece)
        if eof:
            connection.connection_lost(None)
        return await connection.reply(1.0), lines

    return asyncio.run(read())


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces."""
    ends = [*sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


def chunked(content: bytes, sizes: Sequence[int]) -> bytes:
    """`content` in chunks of the given sizes, then one for the rest."""
    found, start = b"", 0
    for size in [*sizes, len(content)]:
        part = content[start : start + size]
        start += size
        if part:
            found += b"%X;name=value\r\n%s\r\n" % (len(part), part)
    return found + b"0\r\nTrailer: x\r\n\r\n"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=6),
    st.lists(st.integers(1, 50), max_size=6),
    st.lists(st.integers(0, 1000), max_size=12),
    st.sampled_from(["chunked", "length", "close"]),
)
def test_lines_are_the_same_however_they_come(
    lines: list[bytes], sizes: list[int], places: list[int], framing: str
) -> None:
    """Any content in any framing, cut anywhere, gives its lines: no byte is lost, doubled or put elsewhere."""
    content = b"".join(line + b"\n" for line in lines)
    if framing == "chunked":
        reply = HEAD + b"transfer-encoding: Chunked\r\n\r\n" + chunked(content, sizes)
    elif framing == "length":
        reply = HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content
    else:
        reply = HEAD + b"X: y\r\n\r\n" + content
    assert read_pieces(cut(reply, places), eof=framing == "close") == (200, lines)


def test_an_interim_reply_is_passed_over() -> None:
    """100 Continue is followed by the reply that counts."""
    reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    assert read_pieces([reply]) == (404, [])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP reply"),
        (b"HTTP/1.1 OK\r\n\r\n", "no HTTP/1.1 reply"),
        (HEAD + b"Content-Length: many\r\n\r\n", "the Content-Length is 'many'"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "a chunk of the size b'xyz'"),
        (b"HTTP/1.1 " + b"x" * 70_000, "no HTTP reply"),
    ],
)
def test_what_is_no_http_is_refused(reply: bytes, said: str) -> None:
    """Each kind of nonsense ends the request with a reason."""
    with pytest.raises(HttpError, match=said.replace("(", r"\(")):
        read_pieces([reply])


@contextmanager
def raw_server(reply: bytes, *, hold: float = 0.0) -> Iterator[int]:
    """A port where every connection gets these bytes, and is closed after `hold` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)
                    stop.wait(hold)

        stop = threading.Event()
        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        stop.set()


def fetched(port: int, seconds: float = 5.0) -> tuple[int, bytes]:
    """A real request."""
    return asyncio.run(fetch(Address("127.0.0.1", port, False, ""), "/x", seconds=seconds))


def test_a_real_connection_that_breaks_or_stays_silent_ends() -> None:
    """A reply cut off, none at all, nobody there, silence: an error each time, and never a wait for ever."""
    with raw_server(HEAD + b"Content-Length: 10\r\n\r\nabc") as port, pytest.raises(Unreachable, match="in the middle"):
        fetched(port)
    with raw_server(b"") as port, pytest.raises(Unreachable, match="before it replied"):
        fetched(port)
    with pytest.raises(Unreachable, match="cannot connect"):
        fetched(closed_port())
    half = HEAD + b"Content-Length: 10\r\n\r\nabc"
    with raw_server(half, hold=30) as port, pytest.raises(Unreachable, match=r"within 0\.3 s"):
        fetched(port, 0.3)
    with raw_server(HEAD + b"\r\na\nb") as port:
        assert fetched(port) == (200, b"a\nb")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000", Address("localhost", 8000, False, "")),
        ("http://localhost:8000/v1/", Address("localhost", 8000, False, "")),
        ("https://example.org/llm/v1", Address("example.org", 443, True, "/llm")),
        ("http://[::1]:80", Address("::1", 80, False, "")),
    ],
)
def test_addresses_are_read(url: str, address: Address) -> None:
    """With or without the API's own path; the default ports are those of the schemes."""
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:port", "http://x:99999", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    """The message shows it and what one looks like."""
    with pytest.raises(ValueError, match="is no address of a server; give one such as http://"):
        Address.parse(url)
