"""What one candidate may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one opened candidate, over its whole session; times in seconds.

    `cpu_seconds` is what a candidate is judged by. `wall_seconds` counts only the time spent waiting for the
    candidate and is meant to be generous; where the kernel says how long the two were kept from a core by other
    programs (`starvation`), that does not count, up to `session.PATIENCE` times the limit. `memory_mb` is address
    space beyond what Python and NumPy take. `answer_seconds` is a wall limit for each answer, for interactive use: a
    deadline of the engine that waits for it, where a late answer is late whatever made it so.
    """

    cpu_seconds: float = 10
    wall_seconds: float = 60
    memory_mb: int = 512
    answer_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds", "memory_mb", "answer_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
