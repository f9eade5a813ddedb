"""What supervisor and zygote say to each other over their socket: fixed-size commands, one reply to each."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

FORK, REAP = b"F", b"R"


class Command(NamedTuple):
    """`FORK` a child with these limits, its two pipe ends attached; or `REAP` the one there is.

    Reaping waits up to `grace` seconds for the child to end by itself and then kills it.
    """

    kind: bytes
    cpu_seconds: int = 0
    memory_bytes: int = 0
    grace: float = 0.0


class Reply(NamedTuple):
    """At a zygote's start its process number, to `FORK` the child's, to `REAP` the child's wait status.

    The child itself answers `FORK`, when it is ready to read its source, or with number 0 if it never will be.
    `cpu_seconds` is the CPU time of the reaped child and its descendants, `killed` says that it had to be.
    """

    number: int
    cpu_seconds: float = 0.0
    killed: bool = False


COMMAND = struct.Struct("<cQQd")
REPLY = struct.Struct("<qd?")


def receive_reply(control: socket.socket) -> Reply:
    """The zygote's next reply.

    Raises:
        EOFError: the zygote is gone.
    """
    data = control.recv(REPLY.size, socket.MSG_WAITALL)
    if len(data) < REPLY.size:
        raise EOFError("the zygote is gone")
    return Reply(*REPLY.unpack(data))


def receive_command(control: socket.socket) -> tuple[Command, list[int]] | None:
    """The supervisor's next command and the descriptors that came with it; None when it is gone."""
    data, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 2)
    return (Command(*COMMAND.unpack(data)), descriptors) if data else None
