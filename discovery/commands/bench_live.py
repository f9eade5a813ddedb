"""The part of the command bench that is about live servers: which there are, and how they are spoken to."""

from __future__ import annotations

import os
import tempfile
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
    from engine_bridge.replay.http import Address
    from engine_bridge.replay.server import Access

LIVE = "vllm"
STOCK = "vllm"
"""The name of vLLM's own scheduler among the policies that servers are started for."""
assert LIVE in ENGINES


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of the command that only live servers take."""

    urls: tuple[str, ...] = ()
    serve: str | None = None
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
            raise UsageError(f"--url, --serve, --model, --prompts, --api-key-env and --stall need --engine {LIVE}")
        return
    if bool(options.urls) == bool(options.serve):
        raise UsageError(
            f"--engine {LIVE}: give either --url http://HOST:PORT for each policy, or --serve 'vllm serve MODEL'"
        )
    if options.prompts not in ("tokens", "text"):
        raise UsageError(f"--prompts {options.prompts}: choose tokens or text")
    if given:
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise UsageError(f"{option} is for the simulator; with --engine {LIVE} the server has its own")


def bench_live(
    names: Sequence[str], scene: Scene, rates: Sequence[float | None], options: LiveOptions, folder: Path | None
) -> tuple[LiveScene, list[Result]]:
    """The results of all servers; with --serve their logs are left in `folder`.

    Raises:
        UsageError: a name, an address or the command is wrong.
    """
    from discovery.bench.live import live, run_live

    access = _access(options)
    scene_live = live(scene, access)
    with telling() as tell, _logs(folder) as logs:
        stands = _addressed(names, options) if options.urls else _started(names, options, logs, tell)
        results = run_live(
            stands, scene_live, rates, access, options.model, tell,
            lambda text: typer.echo(f"warning: {text}", err=True),
        )  # fmt: skip
    return scene_live, results


def _access(options: LiveOptions) -> Access:
    from engine_bridge.replay.server import Access

    key = ""
    if options.api_key_env is not None:
        key = os.environ.get(options.api_key_env, "").strip()
        if not key:
            raise UsageError(f"--api-key-env {options.api_key_env}: this environment variable is not set")
    return Access(text=options.prompts == "text", key=key, stall=options.stall)


def _addressed(names: Sequence[str], options: LiveOptions) -> list[Stand]:
    """Running servers: one address for each name."""
    from discovery.bench.live import Stand, running
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
    return [Stand(name, partial(running, address)) for name, address in zip(names, addresses, strict=True)]


def _started(names: Sequence[str], options: LiveOptions, logs: Path, tell: Callable[[str], object]) -> list[Stand]:
    """Servers that are started, each with one policy; all are exported before the first is."""
    from discovery.bench.launching import read_command, started
    from discovery.bench.live import Stand
    from discovery.exporting.vllm import export_vllm
    from discovery.exporting.winner import find_winner

    command = read_command(options.serve or "")
    winners = {name: None if name == STOCK else find_winner(name, LIVE) for name in names}

    def opened(number: int, name: str) -> Iterator[Address]:
        winner = winners[name]
        log = logs / f"server-{number}.log"
        with tempfile.TemporaryDirectory(prefix="policy-") as folder:
            exported = None if winner is None else export_vllm(winner, Path(folder) / "policy")
            with started(command, exported, log, lambda text: tell(f"{name}: {text}")) as address:
                yield address

    return [Stand(name, partial(contextmanager(opened), number, name)) for number, name in enumerate(winners, 1)]


@contextmanager
def _logs(folder: Path | None) -> Iterator[Path]:
    """Where the servers' logs go; without a folder of the report they stay in a temporary one that is not removed."""
    yield folder or Path(tempfile.mkdtemp(prefix="discover-bench-"))
