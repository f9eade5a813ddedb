"""Serving problems on a user's own traffic: a trace cut into windows, an engine like theirs, and its clock.

    class Mine(Traffic):
        name = "serving_mine"
        trace = "mine.jsonl"        # beside this file, or any workload that `discover bench` takes
        profile = "mine.json"       # what `discover calibrate` wrote
        blocks = 27_000
        slo = (2.0, 0.1)            # seconds: first token, each further one

The trace is cut in the order of time: its first part for `train`, then `validation`, `test`, and a last part from which
only `fresh` draws. Windows of a part are spread over it evenly. The window of `train` in which the order of admission
matters most is also `probe`, by which candidates are known apart; where it matters in none, there is nothing to find.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine_bridge.cost import CostModel, ProfileError, load_profile
from engine_bridge.policy import VECTOR_NAMES
from engine_bridge.sources import load_workload
from engine_bridge.workload import Workload, WorkloadError
from problems.base import Array, Instance
from problems.errors import ProblemError
from problems.serving.bounding import least_times
from problems.serving.instances import FACTORS, SETTINGS, START, instance_of, service_levels
from problems.serving.problem import Serving

SHARES = {"train": 0.4, "validation": 0.2, "test": 0.2, "fresh": 0.2}
"""Of the requests, in the order of time; `name` must begin with `serving`, so that winners are known as policies."""


class Traffic(Serving):
    """Minimise the mean normalised latency on a trace; subclasses say which.

    trace, profile: a file beside the subclass's own, or a name. blocks: KV blocks of 16 tokens. max_running,
    max_tokens: max_num_seqs and max_num_batched_tokens. rate: arrivals per second, None for the trace's own. requests:
    of a window. windows: of each split at most. slo: TTFT and TPOT in seconds, or `strict` or `relaxed`; objectives
    that come with the trace go first.
    """

    trace: ClassVar[str]
    profile: ClassVar[str] = "h200-llama3-8b"
    blocks: ClassVar[int] = SETTINGS.blocks
    max_running: ClassVar[int] = SETTINGS.max_running
    max_tokens: ClassVar[int] = SETTINGS.max_tokens
    rate: ClassVar[float | None] = None
    requests: ClassVar[int] = 100
    windows: ClassVar[int] = 4
    slo: ClassVar[tuple[float, float] | str] = "strict"

    def split(self, name: str) -> Sequence[Instance]:
        """Windows of the trace's part; see the module."""
        if name == "probe":
            return [self._instance(self._busiest, "probe")]
        return [self._instance(start, f"{name}-{place}") for place, start in enumerate(self._starts(name))]

    def fresh(self, seed: int) -> Sequence[Instance]:
        """Windows at random places of the last part, with predictions of their own."""
        first, last = self._part("fresh")
        rng = np.random.default_rng(seed)
        starts = rng.integers(first, last - self.requests + 1, 2 * self.windows)
        return [self._instance(int(start), f"fresh-{place}", seed + 1) for place, start in enumerate(starts)]

    @cached_property
    def _workload(self) -> Workload:
        try:
            workload = load_workload(self._beside(self.trace))
            workload = workload if self.rate is None else workload.scaled(self.rate)
        except WorkloadError as error:
            raise ProblemError(f"problem '{self.name}': {error}") from None
        if min(np.diff(self._cuts(len(workload)))) < self.requests:
            raise ProblemError(
                f"problem '{self.name}': {len(workload)} requests are too few for windows of {self.requests}; give a"
                f" longer trace, or set requests to {int(len(workload) * min(SHARES.values()))} or less"
            )
        return workload

    @cached_property
    def _busiest(self) -> int:
        """The first request of the window of `train` in which most is lost by admitting the last to come first."""
        starts = self._starts("train")
        lost = [self._lost(self._instance(start, f"train-{place}")) for place, start in enumerate(starts)]
        if max(lost) == 0:
            rate = f"{self._workload.rate:.3g} requests a second" if self._workload.duration else "this rate"
            raise ProblemError(
                f"problem '{self.name}': at {rate} two requests never wait together, so no policy can be better than"
                f" another; set rate to a higher one, or blocks ({self.blocks}), max_running ({self.max_running}) and"
                " profile to what your engine has"
            )
        return starts[int(np.argmax(lost))]

    def _lost(self, window: Instance) -> float:
        """By how much the objective differs between first come, first served and its opposite."""
        functions = frozenset((self.entry.function,))
        fcfs, lcfs = (
            self.cost(window, self.decide_with(window, partial(_by_arrival, sign), functions)) for sign in (1, -1)
        )
        return abs(lcfs - fcfs)

    @cached_property
    def _cost(self) -> CostModel:
        try:
            return load_profile(self._beside(self.profile))
        except ProfileError as error:
            raise ProblemError(f"problem '{self.name}': {error}") from None

    def _beside(self, name: str) -> str:
        """A file beside the subclass's own, or `name` as it is."""
        file = getattr(sys.modules.get(type(self).__module__), "__file__", None)
        path = Path(file).parent / name if file else Path(name)
        return str(path) if path.is_file() else name

    @staticmethod
    def _cuts(n: int) -> list[int]:
        """Where the parts begin, and the end."""
        return [0, *(round(share * n) for share in np.cumsum([*SHARES.values()]))]

    def _part(self, name: str) -> tuple[int, int]:
        """The first request of a part, and the first after it."""
        cuts, place = self._cuts(len(self._workload)), list(SHARES).index(name)
        return cuts[place], cuts[place + 1]

    def _starts(self, name: str) -> list[int]:
        """First requests of a part's windows, which do not overlap."""
        first, last = self._part(name)
        count = min(self.windows, (last - first) // self.requests)
        return [round(start) for start in np.linspace(first, last - self.requests, count)]

    def _instance(self, start: int, name: str, seed: int | None = None) -> Instance:
        """One window on the engine."""
        part = self._workload.select(np.arange(start, start + self.requests))
        part = replace(part, arrival=part.arrival - part.arrival[0] + START)
        if seed is not None and part.prediction_error is not None:
            part = part.with_predictions(part.prediction_error, seed)
        engine = {key: np.array(getattr(self, key)) for key in ("blocks", "max_running", "max_tokens")}
        level = next(iter(FACTORS))
        arrays = {**instance_of(name, part, level).arrays, **engine, "cost": self._cost.vector}
        arrays["ttft"], arrays["tpot"] = self._levels(part, Instance(name, arrays))
        return Instance(name, arrays)

    def _levels(self, part: Workload, instance: Instance) -> tuple[Array, Array]:
        """TTFT and TPOT objectives (s): those of the trace, else those of the class; both of shape (n,)."""
        if np.isfinite(part.ttft).all() and np.isfinite(part.tpot).all():
            return part.ttft, part.tpot
        alone, _ = least_times(instance)
        ttft, tpot = self.slo if isinstance(self.slo, tuple) else service_levels(self.slo, alone, self._cost)
        return np.full(len(part), ttft), np.full(len(part), tpot)


def _by_arrival(sign: int, function: str, arrays: Sequence[Array], **_: Any) -> Array:
    """The answers of a policy that admits by arrival, −1: the last first."""
    scores: Array = sign * arrays[0][VECTOR_NAMES.index("arrival")]
    return scores
