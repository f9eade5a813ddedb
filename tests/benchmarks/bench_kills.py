"""A hundred runs killed with SIGKILL at random moments and resumed: what was hit, and that nothing was lost."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

from tests.discovery.kills import killed_and_resumed

RUNS = 100
KILLS = 2
CANDIDATES = 16


def main(runs: int = RUNS) -> None:
    """Half of the runs with an endpoint that honours Idempotency-Key, half without; whatever is wrong raises."""
    for idempotent in (True, False):
        tolls = []
        for seed in range(runs // 2):
            with tempfile.TemporaryDirectory() as folder:
                toll = killed_and_resumed(
                    Path(folder), kills=KILLS, candidates=CANDIDATES, idempotent=idempotent, seed=f"{idempotent}{seed}"
                )
                tolls.append(astuple(toll))
        kills, in_flight, unjudged, candidates, asked, billed = (sum(column) for column in zip(*tolls, strict=True))
        print(
            f"{len(tolls)} runs, {kills} kills, {'with' if idempotent else 'without'} idempotency: nothing lost,"
            f" changed or doubled; they hit {in_flight} calls in flight, {unjudged} answers not judged yet;"
            f" {candidates} candidates, {asked} calls, {billed} billed"
            f" (target: {'as many as candidates' if idempotent else 'at most those in flight more than candidates'})",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
