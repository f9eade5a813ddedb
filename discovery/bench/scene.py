"""What all policies of a benchmark meet: the requests with their service levels, the engine and its clock."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from discovery.errors import UsageError
from engine_bridge.cost import CostModel, ProfileError, load_profile
from engine_bridge.settings import EngineSettings, check_workload
from engine_bridge.sources import REQUESTS, available, load_workload
from engine_bridge.synthetic import GENERATORS
from engine_bridge.workload import Workload, WorkloadError
from problems.base import Array, Instance
from problems.serving.agents import draw_agents
from problems.serving.bounding import least_times
from problems.serving.instances import FACTORS, SETTINGS, service_levels

AGENTS = "agents"
"""The synthetic workload that no trace stands behind."""
OWN_LEVELS = "given"
"""What the service levels are called that came with a workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A workload at its own rate, with service levels, an engine and its clock.

    slo: what the service levels are. alone: least seconds from arrival to end of each request without a queue, (n,).
    concurrency: so many requests under way at any time; None: by arrival times.
    """

    workload: Workload
    slo: str
    settings: EngineSettings
    profile: CostModel
    alone: Array
    concurrency: int | None = None

    def at(self, rate: float | None) -> Workload:
        """The requests at `rate` per second; None: as they are.

        Raises:
            UsageError: they have no rate to change.
        """
        return at_rate(self.workload, rate)

    @property
    def clock(self) -> str:
        """Whose seconds they are, and whether they were measured."""
        return f"{self.profile.name}, {'fitted to a step log' if self.profile.fitted else 'derived, not measured'}"

    @property
    def where(self) -> str:
        """What the policies ran on, in a few words."""
        return f"clock: {self.clock}"

    @property
    def times(self) -> str:
        """What kind of times the results hold, in a few words."""
        return "times are simulated, but the scheduler's"

    @property
    def stage(self) -> str:
        """The end of a sentence that says where the policies ran."""
        return (
            "in a simulated engine with vLLM's order of decisions. Its clock is a cost model "
            f"({self.clock}), so all times but the scheduler's are simulated seconds."
        )

    def describe(self) -> str:
        """One line: everything a result must not be read without."""
        slo = "SLOs of the file" if self.slo == OWN_LEVELS else f"{self.slo} SLOs"
        pace = "" if self.concurrency is None else f" · {self.concurrency} at a time"
        return f"{self.workload.name} · {len(self.workload)} requests{pace} · {slo} · {self.workload.predictions}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        workload = self.workload
        return {
            "workload": {
                "name": workload.name,
                "origin": workload.origin,
                "requests": len(workload),
                "natural_rate": workload.rate if workload.duration else None,
                "concurrency": self.concurrency,
                "prompt_tokens": int(workload.prompt.sum()),
                "output_tokens": int(workload.output.sum()),
                "predictions": workload.predictions,
                "oracle": workload.oracle,
                "prediction_error": workload.prediction_error,
            },
            "slo": {
                "level": self.slo,
                "ttft_median_s": _median(workload.ttft),
                "tpot_median_s": _median(workload.tpot),
            },
            "settings": asdict(self.settings),
            "profile": {"name": self.profile.name, "fitted": self.profile.fitted, "origin": self.profile.origin},
        }


def set_scene(
    source: str,
    *,
    requests: int | None,
    seed: int,
    error: float | None,
    slo: str | None,
    profile: str,
    max_prompt: int | None,
    given: Mapping[str, Any] | None = None,
    max_output: int | None = None,
) -> Scene:
    """The scene of a simulation that the options name.

    Args:
        source: a workload's name or file.
        requests: its first so many.
        seed: of a synthetic workload and of predictions.
        error: sigma of the predictions' error, 0 for the true lengths; None: as the workload has it.
        slo: `strict`, `relaxed` or two numbers of seconds, as in `2,0.1`; None: the workload's own service levels,
            `strict` if it has none.
        profile: a cost profile's name or file.
        max_prompt: prompts are cut to so many tokens.
        given: settings in which the engine differs from the standard one.
        max_output: outputs likewise.

    Raises:
        UsageError: an option names nothing, or the engine cannot serve the workload.
    """
    own_levels(slo)
    settings = replace(SETTINGS, **(given or {}))
    model = find_profile(profile)
    workload = find_workload(
        source, requests=requests, seed=seed, error=error, max_prompt=max_prompt, max_output=max_output
    )
    check_fit(workload, settings)
    return stage(workload, slo, settings, model)


def at_rate(workload: Workload, rate: float | None) -> Workload:
    """The requests at `rate` per second; None: as they are.

    Raises:
        UsageError: they have no rate to change.
    """
    try:
        return workload if rate is None else workload.scaled(rate)
    except WorkloadError as error:
        raise UsageError(str(error)) from None


def is_synthetic(source: str) -> bool:
    """Whether a workload is drawn, as many requests as one likes."""
    return source == AGENTS or source in GENERATORS


def find_profile(name: str) -> CostModel:
    """The cost profile called `name`.

    Raises:
        UsageError: there is none, or it is malformed.
    """
    try:
        return load_profile(name)
    except ProfileError as problem:
        raise UsageError(str(problem)) from None


def find_workload(
    source: str,
    *,
    requests: int | None,
    seed: int,
    error: float | None,
    max_prompt: int | None = None,
    max_output: int | None = None,
) -> Workload:
    """The requests; arguments as in `set_scene`.

    Raises:
        UsageError: there are none of that name, or they cannot be read.
    """
    try:
        workload = _load(source, requests, seed).clipped(max_prompt, max_output)
        return workload if error is None else workload.with_predictions(error, seed)
    except WorkloadError as problem:
        raise UsageError(str(problem)) from None


def check_fit(workload: Workload, settings: EngineSettings) -> None:
    """Refuse a workload that the engine cannot serve to its end.

    Raises:
        UsageError: it cannot.
    """
    try:
        check_workload(workload, settings)
    except ValueError as problem:
        raise UsageError(f"{problem} (--max-prompt, --blocks)") from None


def stage(workload: Workload, slo: str | None, settings: EngineSettings, model: CostModel) -> Scene:
    """The scene of this engine, whose clock `model` says what service levels of a kind are in seconds."""
    first, rest = no_queue(workload, settings, model)
    levels = own_levels(slo)
    if levels is not None:
        level, workload = f"{levels[0]:g} s, {levels[1]:g} s", workload.with_slos(*levels)
    elif slo is None and (np.isfinite(workload.ttft).any() or np.isfinite(workload.tpot).any()):
        level = OWN_LEVELS
    else:
        level = slo or next(iter(FACTORS))
        workload = workload.with_slos(*service_levels(level, first, model))
    return Scene(workload=workload, slo=level, settings=settings, profile=model, alone=first + rest)


def own_levels(slo: str | None) -> tuple[float, float] | None:
    """TTFT and TPOT in seconds, given as `2,0.1`; None for a level by name, or none.

    Raises:
        UsageError: it is neither.
    """
    if slo is None or slo in FACTORS:
        return None
    try:
        ttft, tpot = map(float, slo.split(","))
    except ValueError:
        ttft = tpot = math.nan
    if not (ttft > 0 and tpot > 0):
        raise UsageError(f"--slo {slo}: choose {' or '.join(FACTORS)}, or give TTFT and TPOT in seconds, as in 2,0.1")
    return ttft, tpot


def no_queue(workload: Workload, settings: EngineSettings, profile: CostModel) -> tuple[Array, Array]:
    """Least seconds from arrival to first token, and from there to the end; see `problems.serving.bounding`."""
    requests = {name: getattr(workload, name) for name in ("prompt", "output", "block_offsets", "block_ids")}
    engine = {name: np.array(getattr(settings, name)) for name in ("max_running", "block_size", "blocks")}
    hash_block = np.array(workload.hash_block)
    return least_times(
        Instance(workload.name, {**requests, **engine, "hash_block": hash_block, "cost": profile.vector})
    )


def _load(source: str, requests: int | None, seed: int) -> Workload:
    """The workload, or the nearest name there is."""
    if source == AGENTS:
        return draw_agents(requests or REQUESTS, seed)
    known = [*available(), AGENTS]
    if source not in known and not Path(source).is_file() and not source.endswith((".csv", ".jsonl")):
        nearest = difflib.get_close_matches(source, known, n=1, cutoff=0.4)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}, or a trace file's path"
        raise UsageError(f"there is no workload '{source}'; {hint}")
    return load_workload(source, requests=requests, seed=seed)


def _median(levels: Any) -> float | None:
    """The median of the service levels there are, in seconds."""
    finite = levels[np.isfinite(levels)]
    return float(np.median(finite)) if len(finite) else None
