"""What a part is told: device, size, what is known so far, and how long it may take."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_bridge.gpu_check.report import emit


@dataclass(frozen=True, slots=True)
class Part:
    """A part while it runs.

    name: the first part of its results' place. quick: tiny sizes, for tests. seconds: until it is cut off.
    out: the report's file, beside which larger ones go; what other parts found is in it.
    """

    name: str
    device: str
    quick: bool
    seconds: float
    out: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until this part is cut off."""
        return self.seconds - (time.monotonic() - self.started)

    def say(self, text: str) -> None:
        """Tell the user something now."""
        print(f"  {text}", flush=True)

    def emit(self, *place: str, value: Any) -> None:
        """Hand a result over, below this part's name."""
        emit((self.name, *place), value)

    def leave_out(self, what: str, why: str) -> None:
        """Say, and record, that something was not done."""
        self.say(f"left out: {what}, {why}")
        self.emit("left_out", what, value=why)

    def known(self) -> dict[str, Any]:
        """What the parts before have found."""
        found: dict[str, Any] = json.loads(self.out.read_text(encoding="utf-8"))
        return found


def parts() -> dict[str, Callable[[Part], None]]:
    """What each part does; imported only in its process."""
    from engine_bridge.gpu_check import kernels, models, rates

    return {"rates": rates.run, "kernels": kernels.run, "dense": models.dense, "moe": models.moe}
