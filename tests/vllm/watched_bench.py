"""`discover bench` with vLLM's engine in its process, watched:

    python -m tests.vllm.watched_bench FOUND KILLED ARGUMENTS…

Prompts are the same for all policies. To the file FOUND goes, a list for each engine in turn, what each request has
brought, in the order of completion: pairs (its prediction, token ids). The engine of number KILLED (0, 1, …; -1: none) loses the
process that computes in the middle.
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

KILLED_AT = "replay-9"
"""The request whose first token is the last thing that an engine does; 0 to 3 are the warm-up."""


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


def watch(killed: int) -> list[list[Any]]:
    """Have all engines watched; what they bring."""
    begin, engines = InProcess.__init__, []

    def begin_watched(self: InProcess, engine: Any, **more: Any) -> None:
        engines.append([])
        begin(self, Watched(engine, engines[-1], killed=len(engines) - 1 == killed), **more)

    InProcess.__init__ = begin_watched  # type: ignore[method-assign]
    return engines


if __name__ == "__main__":
    target, number, *arguments = sys.argv[1:]
    secrets.randbits = lambda _: 1
    sys.argv[1:] = arguments
    brought = watch(int(number))
    try:
        main()
    finally:
        Path(target).write_text(json.dumps(brought))
