"""Benchmarks of live engines: the same requests in real time, with the figures and report of a simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from discovery.bench.contenders import Contender
from discovery.bench.running import Result
from discovery.bench.scene import Scene
from engine_bridge.replay.client import Replay, replay
from engine_bridge.replay.figures import replay_metrics
from engine_bridge.replay.http import Address
from engine_bridge.replay.http_server import Access, survey
from engine_bridge.replay.server import Server, ServerError
from problems.serving.instances import FACTORS

LATE = 0.01
"""Seconds by which the client may send late, at the 99th percentile, before that is worth a warning."""


@dataclass(frozen=True, slots=True)
class Served(Contender):
    """A policy in a live server; `exported`: one of ours, which runs sealed there."""

    exported: bool = False

    @property
    def sealed(self) -> bool:
        """Whether it runs in a process of its own."""
        return self.exported


@dataclass(frozen=True, slots=True)
class Stand:
    """A name in the table, and how to come to its server.

    opened: gives the server as long as it is needed; what it and its requests await is run by the runner it is given.
    """

    name: str
    opened: Callable[[asyncio.Runner], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveScene(Scene):
    """A scene whose engines are live; `lines`: what they say of themselves, and how they were asked."""

    facts: dict[str, Any]

    @property
    def clock(self) -> str:
        """Real time."""
        return "wall time at the client"

    @property
    def times(self) -> str:
        """Real times."""
        return "times are measured at the client"

    @property
    def stage(self) -> str:
        """Where they ran."""
        return (
            "by live engines. Requests were sent when they were due, whatever had become of those before; times were "
            "measured at the client, from the moment a request was due."
        )

    def as_json(self) -> dict[str, Any]:
        """As for a simulation, with the servers for its engine."""
        profile = {"name": self.clock, "fitted": True, "origin": "measured at the client"}
        return {**Scene.as_json(self), "settings": self.facts, "profile": profile}


def live(scene: Scene, access: Access) -> LiveScene:
    """`scene` with live engines."""
    facts = {"prompts": "words" if access.text else "token ids"}
    if scene.slo in FACTORS:  # multiples of an idle engine's times, of which the servers' clock knows nothing
        scene = replace(scene, slo=f"{scene.slo} by {scene.profile.name}")
    return LiveScene(**{each.name: getattr(scene, each.name) for each in fields(scene)}, facts=facts)


@contextmanager
def over_http(address: Address, access: Access, model: str | None, runner: asyncio.Runner) -> Iterator[Server]:
    """A server that runs at `address`, and goes on.

    Raises:
        ServerError: as `survey`.
    """
    yield runner.run(survey(address, access, model))


def run_live(
    stands: Sequence[Stand],
    scene: LiveScene,
    rates: Sequence[float | None],
    tell: Callable[[str], object],
    warn: Callable[[str], object],
) -> list[Result]:
    """Every server at every rate, one after the other; a server that fails ends its own row only."""
    results: list[Result] = []
    for stand in stands:
        contender = Served(stand.name, "server")
        left = list(rates)
        try:
            with asyncio.Runner() as runner, stand.opened(runner) as server:
                about = server.about
                scene.facts[stand.name] = f"{about.engine}, {about.model}, {about.lengths}"
                for rate in rates:
                    results.append(_run(stand.name, runner, server, scene, rate, tell, warn))
                    left.remove(rate)
        except ServerError as error:
            results += [Result(contender, rate, None, str(error)) for rate in left[:1]]
    order = {rate: place for place, rate in enumerate(rates)}
    return sorted(results, key=lambda result: order[result.rate])


def _run(
    name: str, runner: asyncio.Runner, server: Server, scene: Scene, rate: float | None,
    tell: Callable[[str], object], warn: Callable[[str], object],
) -> Result:  # fmt: skip
    """One server at one rate.

    Raises:
        ServerError: it died, or cannot take the workload.
    """
    workload = scene.at(rate)
    what = name if rate is None else f"{name} at {rate:g}/s"
    tell(what)
    replayed = runner.run(replay(workload, server, lambda text: tell(f"{what}: {text}")))
    for text in warnings(replayed, workload.output):
        warn(f"{what}: {text}")
    active = bool(replayed.changed.after.get("scheduling_policy_active"))
    what_runs = "an exported policy" if active else "no figures of an exported policy"
    origin = f"{server.about.engine} {server.about.where}, {what_runs}"
    return Result(Served(name, origin, exported=active), rate, replay_metrics(replayed, workload))


def warnings(replayed: Replay, wanted: Any) -> Iterable[str]:
    """What a reader of the figures must know."""
    import numpy as np

    if replayed.failures:
        request, why = next(iter(replayed.failures.items()))
        yield f"{len(replayed.failures)} of {len(wanted)} requests failed; request {request}: {why}"
    late = float(np.nanquantile(replayed.late, 0.99))
    if late > LATE:
        yield (
            f"the client sent 1 in 100 requests {1e3 * late:.0f} ms late or later, which is part of the TTFT; "
            "run it on a machine with a free core"
        )
    served = replayed.served
    differ = int((replayed.output[served] != wanted[served]).sum())
    if differ:
        yield f"{differ} of {int(served.sum())} outputs have not the wanted length; the server would not be forced"
