"""What an operator may set, by environment variables that vLLM's processes inherit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

PREFIX = "SCHED_POLICY_"
TIERS = ("rlimits-only", "no-namespaces", "full")


class BadSetting(ValueError):
    """An environment variable holds what it must not; the message names it, its value and what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable `SCHED_POLICY_` and its name in capitals."""

    answer_ms: float = 50.0
    """Milliseconds that one answer may take before the step goes on without it."""
    restarts: int = 5
    """How often in ten minutes the policy's process is started anew after a fault that ended it."""
    window: int = 256
    """How many waiting requests are shown and put in order."""
    ttft: float = math.inf
    """Objective in seconds for the first token, where a request names none."""
    tpot: float = math.inf
    """Objective in seconds for each further token, where a request names none."""
    ahead: int = 1
    """1: the question for the order of those that wait is put as soon as a step is scheduled, unless none is likely to
    start in the next, and answered while the model computes. It counts if nobody but the first of those have left by
    the next step; who has come since stands behind them in that step, as long as that is one in eight of those shown
    at most. 0: every question is put when its answer is needed, as in the simulator."""
    step_log: str = ""
    """A file to which every step and its time is written (`steps`), for `discover calibrate`; empty: none."""
    isolation: str = "rlimits-only"
    """The weakest tier of isolation that is accepted, one of `TIERS`."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("answer_ms", 1.0, 60_000.0),
            ("restarts", 0, 1_000_000),
            ("window", 2, 10_000),
            ("ahead", 0, 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise self._bad(name, f"a number in {least:g} … {most:g}")
        for name in ("ttft", "tpot"):
            if not getattr(self, name) > 0:
                raise self._bad(name, "seconds above 0, or inf for none")
        if self.isolation not in TIERS:
            raise self._bad("isolation", f"one of {', '.join(TIERS)}")

    def _bad(self, name: str, wanted: str) -> BadSetting:
        return BadSetting(f"{PREFIX}{name.upper()} is '{getattr(self, name)}'; set it to {wanted}, or unset it")

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The settings in these environment variables.

        Raises:
            BadSetting: one of them is no number, or out of its range.
        """
        found: dict[str, int | float | str] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            text = environment.get(name)
            if text is None:
                continue
            kind: type = type(field.default)
            try:
                found[field.name] = kind(text)
            except ValueError:
                raise BadSetting(f"{name} is '{text}', which is no number; set it to one, or unset it") from None
        return cls(**found)  # type: ignore[arg-type]
