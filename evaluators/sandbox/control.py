"""What supervisor and zygote say to each other over their socket: fixed-size commands, one reply to each."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import NamedTuple

FORK, REAP = b"F", b"R"


class Command(NamedTuple):
    """`FORK` a child with these limits, its two pipe ends and its source attached; or `REAP` the one there is.

    Reaping waits up to `grace` seconds for the child to end by itself and then kills it.
    """

    kind: bytes
    cpu_seconds: int = 0
    memory_bytes: int = 0
    grace: float = 0.0


class Reply(NamedTuple):
    """At a zygote's start its layers, to `FORK` the child's process number, to `REAP` the child's wait status.

    The child itself answers `FORK`, when it is ready to read its source, or with number 0 if it never will be.
    `cpu_seconds` is the CPU time of the reaped child and its descendants, `killed` says that it had to be.
    """

    number: int
    cpu_seconds: float = 0.0
    killed: bool = False


COMMAND = struct.Struct("<cQQd")
REPLY = struct.Struct("<qd?")
CREDENTIALS = struct.Struct("=iII")
"""Linux's `struct ucred`: process, user and group."""


def receive_reply(control: socket.socket) -> tuple[Reply, int | None]:
    """The next reply, and the number of the process that has sent it, as this process sees it.

    Process numbers differ between namespaces; the kernel translates them where `translate` was called, and only
    there is the second part not None.

    Raises:
        EOFError: the zygote is gone.
    """
    data, ancillary, _, _ = control.recvmsg(REPLY.size, socket.CMSG_SPACE(CREDENTIALS.size), socket.MSG_WAITALL)
    if len(data) < REPLY.size:
        raise EOFError("the zygote is gone")
    sender = CREDENTIALS.unpack(ancillary[0][2])[0] if ancillary else None
    return Reply(*REPLY.unpack(data)), sender


def translate(control: socket.socket) -> None:
    """Have the kernel say with each reply which process has sent it. Linux only; elsewhere, do nothing."""
    with suppress(AttributeError):
        control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def receive_command(control: socket.socket) -> tuple[Command, list[int]] | None:
    """The supervisor's next command and the descriptors that came with it; None when it is gone."""
    data, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 3)
    return (Command(*COMMAND.unpack(data)), descriptors) if data else None
