"""What a replay needs of an engine in service, whichever way requests come to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_bridge.replay.completions import Stream
from engine_bridge.replay.server_metrics import Scrape
from engine_bridge.workload import Workload

Array = NDArray[Any]
Send = Callable[[], Awaitable[str]]
"""Sends a request that is prepared and waits for its end; what it was refused with, empty if it was served."""


class ServerError(RuntimeError):
    """A server cannot be used, or is no more; one sentence with the remedy."""


class Broken(Exception):
    """A request got no proper reply; the message says what happened, without a remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a server is.

    engine: name and version, as far as it says. where: how to come to it, as in `at http://127.0.0.1:8000`. model: what
    it serves. longest: tokens of a sequence at most; None if it does not say. lengths: how output lengths come about.
    stall: seconds without a token from any request, while some are open, after which it counts as stuck.
    """

    engine: str
    where: str
    model: str
    longest: int | None
    lengths: str
    stall: float


class Server(Protocol):
    """An engine in service."""

    @property
    def about(self) -> About:
        """What it is."""

    async def check_health(self) -> None:
        """See that it is well.

        Raises:
            ServerError: it is not, or is gone.
        """

    async def scrape(self) -> Scrape:
        """Its metrics; empty if it has none."""

    async def prepare(self, prompt: Array, output: int, hints: Mapping[str, float], stream: Stream) -> Send:
        """Make all ready for a request of `output` greedy tokens; its tokens go to `stream`, with their times.

        Args:
            prompt: token ids, int64, shape (n,).
            hints: told to the scheduler.

        Raises:
            Broken: it cannot be reached; sending raises that too, and `ServerError` where it is plain that it died.
        """


def check_fit(about: About, workload: Workload) -> None:
    """Refuse requests that are longer than a server's longest sequence.

    Raises:
        ServerError: there is one.
    """
    total = workload.prompt + workload.output
    if about.longest is not None and (total > about.longest).any():
        request = int(np.argmax(total))
        raise ServerError(
            f"request {request} of {workload.name} has {workload.prompt[request]} + {workload.output[request]}"
            f" tokens, more than the {about.longest} that the engine {about.where} takes (max_model_len); cut them by"
            " --max-prompt and --max-output, or serve with a longer one"
        )
