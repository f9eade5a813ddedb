"""The replay itself: every request is sent when it arrives, whatever has become of those before it (open loop).

    server = await survey(Address.parse("http://127.0.0.1:8000"), Access())  # or `in_process.InProcess`
    replayed = await replay(workload, server)
    replayed.first_token - workload.arrival

Times are wall time at this client. The connection is made before a request is due, so that no handshake is part of a
TTFT; a TTFT counts from the arrival that the workload names, not from the moment at which a busy client got round to
sending. By how much that was later is told (`late`).
"""

from __future__ import annotations

import asyncio
import resource
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.replay.completions import Stream
from engine_bridge.replay.prompts import token_ids
from engine_bridge.replay.server import Broken, Server, ServerError, check_fit
from engine_bridge.replay.server_metrics import KV_USE, Difference
from engine_bridge.workload import Workload

Array = NDArray[Any]

AHEAD = 1.0
"""Seconds before its arrival at which a request is prepared."""
LOOK_EVERY = 5.0
"""Seconds between two looks at the server's health and memory; each takes it some milliseconds."""
WARM_UP = 4
"""Requests that go ahead of the others and are not counted."""
WARM_UP_TOKENS = (256, 16)
"""Their prompts and outputs are no longer than that."""
WARM_UP_SECONDS = 300.0
"""Within which they must be served."""
HOPELESS = 20
"""When so many requests have failed and none was served, the replay ends."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened to the requests of a workload; arrays of shape (n,) in its order.

    served: which were, the others failed. first_token, finish: seconds on the workload's clock, NaN for those that
    failed. output, prompt: tokens as the server counts them. cached: prompt tokens found in its prefix cache; None
    where it does not say. gaps: times between two output tokens of a request, as rows (seconds, how many), shape
    (k, 2); tokens that came together have 0. late: by how much requests were sent after their arrival (s).
    failures: what went wrong, by request. changed: the server's metrics before and after. kv: shares of its KV cache
    in use, a number each look. salt: of the prompts.
    """

    served: Array
    first_token: Array
    finish: Array
    output: Array
    prompt: Array
    cached: Array | None
    gaps: Array
    late: Array
    failures: Mapping[int, str]
    changed: Difference
    kv: tuple[float, ...]
    salt: int


async def replay(workload: Workload, server: Server, tell: Callable[[str], object] = lambda _: None) -> Replay:
    """Serve all requests of `workload` by `server`; `tell` is told now and then how far it is.

    Raises:
        ServerError: it cannot take the workload, died, got stuck, or refuses every request.
    """
    check_fit(server.about, workload)
    run = _Run(workload, server, tell)
    await run.warm_up()
    before = await server.scrape()
    run.begin()
    everyone = asyncio.create_task(run.serve_all())
    watch = asyncio.create_task(run.watch())
    try:
        finished, _ = await asyncio.wait({everyone, watch}, return_when=asyncio.FIRST_COMPLETED)
        for each in finished:
            each.result()
    finally:
        everyone.cancel()
        watch.cancel()
        await asyncio.wait({everyone, watch})
    after = await server.scrape()
    await server.check_health()  # what failed because it died would count as missed
    return run.result(Difference(before, after))


class _Run:
    """One replay under way."""

    def __init__(self, workload: Workload, server: Server, tell: Callable[[str], object]) -> None:
        n = len(workload)
        allow_connections(n)
        self._workload, self._server, self._tell = workload, server, tell
        self._name = f"the engine {server.about.where}"
        self._salt = secrets.randbits(31)
        self._streams = [Stream() for _ in range(n)]
        self._sent = np.full(n, np.nan)
        self._finish = np.full(n, np.nan)
        self._failures: dict[int, str] = {}
        self._kv: list[float] = []
        self._waiting: set[int] = set()
        self._start = 0.0

    async def warm_up(self) -> None:
        """Serve a few requests like the first ones, shorter, with other tokens.

        Raises:
            ServerError: one of them ends without an answer, or they take too long; a refusal is told by the replay.
        """
        short = self._workload.select(range(min(WARM_UP, len(self._workload)))).clipped(*WARM_UP_TOKENS)
        try:
            async with asyncio.timeout(WARM_UP_SECONDS):
                await asyncio.gather(*(self._serve_unmeasured(short, request) for request in range(len(short))))
        except (Broken, TimeoutError) as error:
            said = str(error) or f"not served within {WARM_UP_SECONDS:g} s"
            raise ServerError(f"{self._name} failed at a short request ({said}); look at its log") from None

    async def _serve_unmeasured(self, workload: Workload, request: int) -> None:
        prompt = token_ids(workload, request, self._salt + 1)
        send = await self._server.prepare(prompt, int(workload.output[request]), {}, Stream())
        await send()

    def begin(self) -> None:
        """Set the clock: the first request arrives as soon as it can be prepared."""
        self._start = perf_counter() + AHEAD + 0.1 - float(self._workload.arrival[0])

    async def watch(self) -> None:
        """Look after the server until cancelled.

        Raises:
            ServerError: it is not well, or nothing has come from it for too long.
        """
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._server.check_health()
            self._check_progress()
            use = (await self._server.scrape()).get(*KV_USE)
            if use is not None:
                self._kv.append(use)
            done = int(np.isfinite(self._finish).sum()) + len(self._failures)
            self._tell(f"{done} of {len(self._workload)} done, {len(self._waiting)} under way")

    async def serve_all(self) -> None:
        """Serve all requests; the first error ends the others.

        Raises:
            ServerError: as for one.
        """
        tasks = [asyncio.create_task(self.serve(request)) for request in range(len(self._workload))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, request: int) -> None:
        """Send one request when it is due and take its reply.

        Raises:
            ServerError: the server is gone, or refuses all requests.
        """
        due = self._start + float(self._workload.arrival[request])
        await asyncio.sleep(due - AHEAD - perf_counter())
        try:
            await self._exchange(request, due)
        except Broken as error:
            await self._fail(request, str(error))
        finally:
            self._waiting.discard(request)

    async def _exchange(self, request: int, due: float) -> None:
        """One request and its reply."""
        workload, stream = self._workload, self._streams[request]
        prompt = token_ids(workload, request, self._salt)
        hints = hints_of(workload, request)
        send = await self._server.prepare(prompt, int(workload.output[request]), hints, stream)
        await asyncio.sleep(due - perf_counter())
        self._sent[request] = perf_counter()
        self._waiting.add(request)
        refusal = await send()
        if refusal or not stream.times:
            await self._fail(request, refusal or "no token came")
        else:
            self._finish[request] = stream.times[-1]

    async def _fail(self, request: int, why: str) -> None:
        """Note that a request failed, unless that is because the server has."""
        await self._server.check_health()
        self._failures[request] = why
        if len(self._failures) >= min(HOPELESS, len(self._workload)) and not np.isfinite(self._finish).any():
            raise ServerError(f"{self._name} served none of the first {len(self._failures)} requests; the last: {why}")

    def _check_progress(self) -> None:
        heard = [self._streams[each].times[-1:] or [self._sent[each]] for each in self._waiting]
        quiet = perf_counter() - max((each[0] for each in heard), default=perf_counter())
        if quiet > self._server.about.stall:
            raise ServerError(
                f"{self._name} has sent nothing for {quiet:.0f} s with {len(self._waiting)} requests under"
                " way; look at its log (--stall SECONDS waits longer)"
            )

    def result(self, changed: Difference) -> Replay:
        """What happened; all requests are done."""
        streams = self._streams
        served = np.isfinite(self._finish)
        first = np.array([each.times[0] if each.times else np.nan for each in streams])
        cached = [each.cached for each in streams]
        return Replay(
            served=served,
            first_token=np.where(served, first - self._start, np.nan),
            finish=self._finish - self._start,
            output=np.array([each.served for each in streams]),
            prompt=np.array([each.prompt for each in streams]),
            cached=None if None in cached else np.array(cached),
            gaps=gaps_of([each for each, good in zip(streams, served, strict=True) if good]),
            late=np.maximum(self._sent - self._start - self._workload.arrival, 0.0),
            failures=self._failures,
            changed=changed,
            kv=tuple(self._kv),
            salt=self._salt,
        )


def hints_of(workload: Workload, request: int) -> dict[str, float]:
    """What a policy in the server may know of a request, and cannot see there."""
    found: dict[str, float] = {"predicted": int(workload.predicted[request])}
    for name in ("ttft", "tpot"):
        if np.isfinite(level := float(getattr(workload, name)[request])):
            found[name] = level
    if workload.priority[request]:
        found["priority"] = int(workload.priority[request])
    if workload.group[request] >= 0:
        found["group"] = int(workload.group[request])
    return found


def gaps_of(streams: list[Stream]) -> Array:
    """Every time between two output tokens as rows (seconds, how many), shape (k, 2)."""
    apart = np.concatenate([np.zeros(0), *(np.diff(each.times) for each in streams)])
    together = sum(each.seen - len(each.counts) for each in streams)
    rows = np.column_stack([apart, np.ones(len(apart))])
    return np.vstack([rows, [[0.0, together]]]) if together else rows


def allow_connections(count: int) -> None:
    """Raise the soft limit of open files as far as the hard one allows, if `count` connections may need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 64
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
