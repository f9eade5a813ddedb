"""What became of a candidate: `ok`, or why not. Faults of the candidate and faults of ours are kept apart."""

from __future__ import annotations

import unicodedata
from enum import StrEnum

from problems.errors import Unanswered

DETAIL_LENGTH = 600


class Verdict(StrEnum):
    """The outcome of judging one candidate; each kind is recorded, none is a score of 0."""

    ok = "ok"
    no_code = "no_code"
    """The proposer's answer held no code block."""
    bad_source = "bad_source"
    """Not Python, or without the entry function."""
    policy_violation = "policy_violation"
    """Asked the kernel for something a heuristic has no use for."""
    exception = "exception"
    invalid_decision = "invalid_decision"
    cpu_limit = "cpu_limit"
    wall_timeout = "wall_timeout"
    """No answer in time, though it had a core: it slept or blocked; or late for an engine that waits."""
    memory = "memory"
    crash = "crash"
    """Killed by a signal."""
    protocol_error = "protocol_error"
    """Ended, or wrote something other than an answer."""
    duplicate = "duplicate"
    """Decides as an earlier candidate does."""
    infrastructure_error = "infrastructure_error"
    """Ours: retried, never counted against the candidate."""


class CandidateFault(Unanswered):
    """The candidate's own fault.

    `detail` may hold text of the candidate's choosing, made harmless by `harmless`.
    """

    def __init__(self, verdict: Verdict, detail: str) -> None:
        self.verdict = verdict
        self.detail = harmless(detail)
        super().__init__(f"{verdict}: {self.detail}")


class InfrastructureError(Unanswered):
    """A fault of ours or of the machine; it says nothing about the candidate."""


def harmless(text: str, length: int = DETAIL_LENGTH) -> str:
    """`text` as one capped line without control characters, double quotes or backticks.

    What is left can be put between double quotes or backticks in a prompt and cannot end the quotation.
    """
    head = text[: 4 * length].replace('"', "'").replace("`", "'")
    printable = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in head)
    line = " ".join(printable.split())
    return line if len(line) <= length else line[: length - 1] + "…"
