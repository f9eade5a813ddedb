"""`discover bench` with vLLM's engine in its process, watched:

    python -m tests.vllm.watched_bench FOUND ARGUMENTS…

Prompts are the same in all replays. To the file FOUND goes, a list for each engine in turn, what each request has
brought, in the order of completion: pairs (its prediction, token ids). The first engine loses the process that computes
in the middle of its second replay.
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from discovery.cli import main
from engine_bridge.replay.in_process import InProcess

KILLED_AT = "replay-35"
"""Whose first token is the last thing that the engine does; 0 to 25 are the first replay, warm-up included."""


class Watched:
    """An AsyncLLM of which everything that is generated is noted in `found`."""

    def __init__(self, engine: Any, found: list[Any], *, killed: bool) -> None:
        self._engine, self._found, self._killed = engine, found, killed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, prompt: Any, parameters: Any, name: str) -> AsyncIterator[Any]:
        """As the engine's."""
        tokens: list[int] = []
        async for reply in self._engine.generate(prompt, parameters, name):
            if self._killed and name == KILLED_AT:
                for process in multiprocessing.active_children():
                    process.kill()
            tokens.extend(reply.outputs[0].token_ids)
            yield reply
        self._found.append((parameters.extra_args.get("predicted"), tokens))


def watch() -> list[list[Any]]:
    """Have all engines watched, and the first killed; what they bring."""
    begin, engines = InProcess.__init__, []

    def begin_watched(self: InProcess, engine: Any, **more: Any) -> None:
        engines.append([])
        begin(self, Watched(engine, engines[-1], killed=len(engines) == 1), **more)

    InProcess.__init__ = begin_watched  # type: ignore[method-assign]
    return engines


if __name__ == "__main__":
    target, *arguments = sys.argv[1:]
    secrets.randbits = lambda _: 1
    sys.argv[1:] = arguments
    brought = watch()
    try:
        main()
    finally:
        Path(target).write_text(json.dumps(brought))
