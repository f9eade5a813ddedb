"""Killing a run again and again, resuming it, and seeing what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discovery.proposers.base import Charge
from tests.discovery.tiny_run import check_whole, count, history, rows, rule, spending, start, write_config
from tests.endpoint import Endpoint, Reply, endpoint

LATENCY = 0.1


@dataclass
class Toll:
    """What the kills of one run hit, and what it took.

    `in_flight`: calls broken off; `unjudged`: answers that were there, but not judged yet; `asked`: calls the server
    saw; `billed`: those it worked on.
    """

    kills: int
    in_flight: int
    unjudged: int
    candidates: int
    asked: int
    billed: int


def slow_rule(number: int, request: dict[str, Any]) -> Reply:
    """A heuristic, after a while."""
    time.sleep(LATENCY)
    return rule(number, request)


def killed_and_resumed(folder: Path, *, kills: int, candidates: int, idempotent: bool, seed: object) -> Toll:
    """Start a run, kill it `kills` times at random moments, each time resume it, and see it through.

    After every kill all that was committed or answered is there as it was; at the end each candidate was answered
    once. No answer that reached the archive was asked for again; where the endpoint is idempotent, none was billed
    twice.
    """
    rng = random.Random(f"{seed}:kills")
    killed = in_flight = unjudged = 0
    with endpoint(slow_rule, idempotent=idempotent) as server:
        proposer = f"concurrency = 3\nidempotent = {'true' if idempotent else 'false'}"
        config = write_config(folder, server.url, candidates=candidates, proposer=proposer)
        command: tuple[str | Path, ...] = ("run", config)
        kept = Kept(folder)
        for _ in range(kills):
            process = start(folder, *command)
            # Most often into the search, where it matters; else at any moment after the set-up of the run.
            target = count(folder, "answer") + rng.randrange(candidates // kills)
            at_once = rng.random() < 0.2
            while process.poll() is None and (count(folder, "event") < 2 or count(folder, "answer") < target):
                time.sleep(0.002)
                if at_once and count(folder, "event") >= 2:
                    break
            time.sleep(rng.random() * (1.5 if at_once else 3 * LATENCY))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.communicate()
            in_flight += kept.check(server)
            unjudged += count(folder, "answer") - count(folder, "outcome")
            command = ("resume", "tiny")
        process = start(folder, *command)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert "Traceback" not in stderr
        kept.check(server)
    check_whole(folder, candidates)
    bodies = {(call.key, json.dumps(call.request, sort_keys=True)) for call in server.calls}
    assert len(bodies) == len({call.key for call in server.calls}), "a key must not come with another request"
    assert idempotent or len(bodies) == len(server.calls), "each call is one of its own where keys are not honoured"
    billed = len(server.billed)
    assert billed == candidates if idempotent else candidates <= billed <= candidates + in_flight
    spent = spending(folder)
    assert spent.charge - spent.held == Charge(candidates * 120)
    assert spent.charge.tokens >= 120 * billed, "more was billed than the archive knows of"
    if idempotent:
        assert spent.held == Charge()
    return Toll(killed, in_flight, unjudged, candidates, len(server.requests), billed)


class Kept:
    """What an archive held when it was last looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._history: list[tuple[Any, ...]] = []
        self._answers: list[tuple[Any, ...]] = []
        self._seen = 0

    def check(self, server: Endpoint) -> int:
        """Nothing that was there is gone or other than it was; returns how many calls the kill broke off."""
        folder = self._folder
        history_now = history(folder)
        assert history_now[: len(self._history)] == self._history
        answers = rows(folder, "SELECT * FROM answer ORDER BY at, number")
        assert set(self._answers) <= set(answers)
        assert len({row[0] for row in answers}) == len(answers)
        # Calls of this session were for candidates that had no answer when it began.
        asked = {row[0] for row in rows(folder, f"SELECT number FROM call WHERE id > {self._seen}")}
        assert asked.isdisjoint(row[0] for row in self._answers)
        open_calls = rows(
            folder, f"SELECT id FROM call WHERE id > {self._seen} AND id NOT IN (SELECT call FROM settled)"
        )
        self._seen = count(folder, "call")
        assert len(server.requests) <= self._seen, "a call that was not written down"
        self._history, self._answers = history_now, answers
        return len(open_calls)
