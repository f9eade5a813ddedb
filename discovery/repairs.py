"""Candidates that failed and may be repaired: each is asked for again at most once, with its verdict."""

from __future__ import annotations

import math
from collections import deque

from discovery.candidate import Candidate
from discovery.operators import REPAIR
from discovery.proposers.base import Parent
from discovery.seen import SAME_CODE
from evaluators.verdict import Verdict

REPAIRABLE = frozenset(
    (
        Verdict.bad_source,
        Verdict.exception,
        Verdict.invalid_decision,
        Verdict.policy_violation,
        Verdict.cpu_limit,
        Verdict.wall_timeout,
        Verdict.memory,
    )
)
"""Verdicts whose text says what to change."""
LONGEST = 20_000
"""Characters of a file that a prompt can hold; longer ones are not repaired."""
WAITING = 3
"""Failures that are kept on each island; older ones are given up."""


class Repairs:
    """The latest failures of each island. Repairs that fail are not repaired again."""

    def __init__(self, islands: int) -> None:
        """One queue an island."""
        self._waiting: list[deque[Parent]] = [deque(maxlen=WAITING) for _ in range(islands)]

    def note(self, candidate: Candidate) -> None:
        """Keep a candidate that failed in a way that may be mended."""
        draft = candidate.draft
        if candidate.source is None or candidate.verdict not in REPAIRABLE or draft.operator == REPAIR:
            return
        if len(candidate.source) > LONGEST:
            return
        if candidate.detail.startswith(SAME_CODE):
            return  # the first of that code had its chance
        fault = f"{candidate.verdict}: {candidate.detail}".removesuffix(": ")
        failed = Parent(candidate.source, math.inf, candidate.label, candidate.thought, fault=fault)
        self._waiting[draft.island].append(failed)

    def wait(self, island: int) -> bool:
        """Whether an island has a failure to repair."""
        return bool(self._waiting[island])

    def take(self, island: int) -> Parent:
        """The latest failure of an island; one must wait."""
        return self._waiting[island].pop()
