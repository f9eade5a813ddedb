"""The part of the command bench that is about live engines: which there are, and how they are spoken to."""

from __future__ import annotations

import os
import tempfile
from asyncio import Runner
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from discovery.errors import UsageError
from discovery.tables import telling
from engine_bridge.policy import ENGINES

if TYPE_CHECKING:
    from discovery.bench.live import LiveScene, Stand
    from discovery.bench.running import Result
    from discovery.bench.scene import Scene
    from discovery.exporting.winner import Winner
    from engine_bridge.replay.http_server import Access
    from engine_bridge.replay.server import Server

LIVE = "vllm"
STOCK = "vllm"
"""The name of vLLM's own scheduler among the policies that servers are started for."""
assert LIVE in ENGINES


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of the command that only live engines take."""

    urls: tuple[str, ...] = ()
    serve: str | None = None
    in_process: str | None = None
    model: str | None = None
    prompts: str = "tokens"
    api_key_env: str | None = None
    stall: float = 300.0


LIVE_DEFAULTS = LiveOptions()


def check_options(engine: str, options: LiveOptions, given: Mapping[str, int]) -> None:
    """Refuse options that mean nothing for `engine`; `given`: settings of the simulated one.

    Raises:
        UsageError: there is one, or too few.
    """
    if engine != LIVE:
        if options != LIVE_DEFAULTS:
            raise UsageError(
                f"--url, --serve, --in-process, --model, --prompts, --api-key-env and --stall need --engine {LIVE}"
            )
        return
    if [bool(options.urls), options.serve is not None, options.in_process is not None].count(True) != 1:
        raise UsageError(
            f"--engine {LIVE}: give either --url http://HOST:PORT for each policy, or --serve 'vllm serve MODEL', or"
            " --in-process MODEL"
        )
    if options.in_process is not None and options != LiveOptions(in_process=options.in_process, stall=options.stall):
        raise UsageError("--model, --prompts and --api-key-env are for servers; --in-process names the model itself")
    if options.prompts not in ("tokens", "text"):
        raise UsageError(f"--prompts {options.prompts}: choose tokens or text")
    if given:
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise UsageError(f"{option} is for the simulator; with --engine {LIVE} the server has its own")


def bench_live(
    names: Sequence[str], scene: Scene, rates: Sequence[float | None], options: LiveOptions, folder: Path | None
) -> tuple[LiveScene, list[Result]]:
    """The results of all engines; the logs of those that are started here are left in `folder`.

    Raises:
        UsageError: a name, an address, the command or an argument of the engine is wrong.
    """
    from discovery.bench.live import live, run_live

    access = _access(options)
    scene_live = live(scene, access)
    with telling() as tell, _stands(names, options, access, folder, tell) as stands:
        results = run_live(stands, scene_live, rates, tell, lambda text: typer.echo(f"warning: {text}", err=True))
    return scene_live, results


@contextmanager
def _stands(
    names: Sequence[str], options: LiveOptions, access: Access, folder: Path | None, tell: Callable[[str], object]
) -> Iterator[list[Stand]]:
    """An engine for each name."""
    if options.urls:
        yield _addressed(names, options, access)
        return
    # Without a folder of the report the logs stay in a temporary one that is not removed.
    logs = folder or Path(tempfile.mkdtemp(prefix="discover-bench-"))
    if options.serve is not None:
        yield _started(names, options, access, logs, tell)
    else:
        with _embedded(names, options, logs, tell) as stands:
            yield stands


def _access(options: LiveOptions) -> Access:
    from engine_bridge.replay.http_server import Access

    key = ""
    if options.api_key_env is not None:
        key = os.environ.get(options.api_key_env, "").strip()
        if not key:
            raise UsageError(f"--api-key-env {options.api_key_env}: this environment variable is not set")
    return Access(text=options.prompts == "text", key=key, stall=options.stall)


def _addressed(names: Sequence[str], options: LiveOptions, access: Access) -> list[Stand]:
    """Running servers: one address for each name."""
    from discovery.bench.live import Stand, over_http
    from engine_bridge.replay.http import Address

    if len(names) != len(options.urls) or len(set(names)) != len(names):
        raise UsageError(
            f"{len(names)} policies and {len(options.urls)} addresses: a running server has one policy, so give one"
            " --url for each, in the same order, and no name twice"
        )
    try:
        addresses = [Address.parse(url) for url in options.urls]
    except ValueError as error:
        raise UsageError(f"--url: {error}") from None
    return [
        Stand(name, partial(over_http, address, access, options.model))
        for name, address in zip(names, addresses, strict=True)
    ]


def _started(
    names: Sequence[str], options: LiveOptions, access: Access, logs: Path, tell: Callable[[str], object]
) -> list[Stand]:
    """Servers that are started, each with one policy; all are found before the first is."""
    from discovery.bench.launching import read_command, started
    from discovery.bench.live import Stand, over_http

    command = read_command(options.serve or "")
    winners = _winners(names)

    @contextmanager
    def opened(number: int, name: str, runner: Runner) -> Iterator[Server]:
        log = logs / f"server-{number}.log"
        with (
            _exported(winners[name]) as folder,
            started(command, folder, log, lambda text: tell(f"{name}: {text}")) as address,
            over_http(address, access, options.model, runner) as server,
        ):
            yield server

    return [Stand(name, partial(opened, number, name)) for number, name in enumerate(winners, 1)]


@contextmanager
def _embedded(
    names: Sequence[str], options: LiveOptions, logs: Path, tell: Callable[[str], object]
) -> Iterator[list[Stand]]:
    """Engines in this process, likewise."""
    from discovery.bench.in_process import embedded, read_arguments, vllm_here
    from discovery.bench.live import Stand

    words = read_arguments(options.in_process or "")
    winners = _winners(names)

    @contextmanager
    def opened(number: int, name: str, runner: Runner) -> Iterator[Server]:
        tell(f"{name}: starting the engine")
        with (
            _exported(winners[name]) as folder,
            embedded(arguments, folder, logs / f"engine-{number}.log", options.stall) as server,
        ):
            yield server

    with vllm_here(words) as arguments:
        yield [Stand(name, partial(opened, number, name)) for number, name in enumerate(winners, 1)]


def _winners(names: Sequence[str]) -> dict[str, Winner | None]:
    """The policies by name, each once; None for vLLM's own order."""
    from discovery.exporting.winner import find_winner

    return {name: None if name == STOCK else find_winner(name, LIVE) for name in names}


@contextmanager
def _exported(winner: Winner | None) -> Iterator[Path | None]:
    """A folder with the export as long as it is needed; None for none."""
    from discovery.exporting.vllm import export_vllm

    if winner is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="policy-") as folder:
        yield export_vllm(winner, Path(folder) / "policy")
