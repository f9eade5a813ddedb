"""Policies on the engine by turns, round after round while there is time; then the simulator on the same requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic

from engine_bridge.cost import CostModel
from engine_bridge.gpu_check.part import Part
from engine_bridge.harness import Open, StepRecords, compared, errors, median_metrics, predict, warm_up
from engine_bridge.metrics import Metrics, metrics
from engine_bridge.online import NoProgress
from engine_bridge.policy import Policy, UnsupportedFunction, load_policy, require_engine
from engine_bridge.step_log import StepLogError
from engine_bridge.timing import Timed
from engine_bridge.torch_engine.engine import Engine
from engine_bridge.workload import Workload

CHECKOUT = Path(__file__).parent.parent.parent
BASELINES = CHECKOUT / "problems" / "serving" / "policies"
"""Baselines and champions are read as files: what they are about lies above this package."""
CHAMPIONS = CHECKOUT / "runs" / "champions" / "serving"
NAMES = ("fcfs", "sarathi_512", "slai", "layered_prefill")
MOST_ROUNDS, MOST_CHAMPIONS = 3, 2
SPARE = 20.0
"""Seconds kept for the fit and the simulations."""
SHOWN = ("TTFT p50", "TTFT p99", "TPOT p50", "TPOT p99", "throughput")


def find_policies() -> dict[str, Path]:
    """Files by name: the baselines, and the newest champions (their names tell when) if there are any."""
    found = {name: BASELINES / f"{name}.py" for name in NAMES}
    champions = sorted(CHAMPIONS.glob("*.py"), reverse=True)
    return {**found, **{f"champion {path.stem}": path for path in champions[:MOST_CHAMPIONS]}}


@contextmanager
def opened(path: Path) -> Iterator[Policy]:
    """A fresh policy from a file that is believed."""
    yield load_policy(path)


@dataclass(slots=True)
class Contest:
    """Some policies on one engine.

    experts: of the model, and how many of them a token uses. files: the policies by name.
    """

    part: Part
    engine: Engine
    experts: tuple[int, int]
    workload: Workload
    files: dict[str, Path]
    records: StepRecords = field(default_factory=StepRecords)
    found: dict[str, list[Metrics]] = field(default_factory=dict)
    longest: float = 0.0

    def run(self) -> None:
        """Emit `policies`, `calibration` and `simulator`; steps go to a file beside the report."""
        policies = self._able()
        settings = self.engine.settings
        longest = int(self.workload.prompt.max())
        started = monotonic()
        first = warm_up(self.engine, settings, longest, experts=self.experts[0], top_k=self.experts[1])
        self.part.say(f"warm-up: {monotonic() - started:.1f} s")
        for number in range(1 if self.part.quick else MOST_ROUNDS):
            if not self._round(policies, number):
                break
        if self.found:
            self._compare(policies, first)

    def _able(self) -> dict[str, Open]:
        """The policies that there are and that this engine can carry out."""
        able: dict[str, Open] = {}
        for name, path in self.files.items():
            try:
                require_engine(load_policy(path), "torch")
            except (OSError, UnsupportedFunction) as error:
                self.part.leave_out(name, str(error))
                continue
            able[name] = partial(opened, path)
        return able

    def _round(self, policies: dict[str, Open], number: int) -> bool:
        """Every policy once, another one first than the round before; whether there was time for all."""
        names = list(policies)
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            if self.part.left < 1.3 * self.longest + SPARE:
                self.part.leave_out(f"{name} in round {number + 1}", f"{self.part.left:.0f} s were left")
                return False
            started = monotonic()
            with policies[name]() as policy:
                timed = Timed(policy)
                try:
                    outcome = self.engine.serve(self.workload, timed)
                except NoProgress as error:
                    self.part.leave_out(name, str(error))
                    continue
            self.longest = max(self.longest, monotonic() - started)
            self.records.add(outcome, name, number)
            self.found.setdefault(name, []).append(metrics(outcome, outcome.served(self.workload), timed.seconds))
            self._tell(name, number)
        return True

    def _tell(self, name: str, number: int) -> None:
        newest = self.found[name][-1]
        self.part.say(f"round {number + 1}: {name:16} {_figures(newest)}, SLO met {100 * newest.attainment:.1f} %")
        rounds = [each.as_json() for each in self.found[name]]
        median = median_metrics(self.found[name]).as_json()
        self.part.emit("policies", name, value={"median": median, "rounds": rounds})

    def _compare(self, policies: dict[str, Open], first: CostModel) -> None:
        """Fit the cost model to all steps, and let it predict the same requests."""
        steps = self.part.out.with_name(f"{self.part.out.stem}-{self.part.name}-steps.csv")
        self.records.write(steps)
        try:
            fitted = self.records.fit(f"{self.part.name} here", *self.experts)
        except StepLogError as error:
            self.part.leave_out("calibration to the run", f"{error}; that to the warm-up is used")
            fitted = first
        self.part.emit("calibration", value={**asdict(fitted), "steps": steps.name})
        overall = fitted.error["regimes"]["all"]
        self.part.say(
            f"calibration: error of a step {_percent(overall['median'])} median, {_percent(overall['p90'])} p90; "
            f"all steps together {_percent(fitted.error['total'])}"
        )
        guesses = predict(self.workload, {name: policies[name] for name in self.found}, self.engine.settings, fitted)
        for name, guess in guesses.items():
            missed = errors(guess, median_metrics(self.found[name]))
            self.part.emit("simulator", name, value={"predicted": guess.as_json(), "errors": missed})
            said = ", ".join(f"{figure} {_percent(missed[figure])}" for figure in SHOWN)
            self.part.say(f"simulator off, {name}: {said}")


def _figures(one: Metrics) -> str:
    units = {"TTFT p50": (1e3, "ms"), "TTFT p99": (1e3, "ms"), "TPOT p50": (1e3, "ms"), "TPOT p99": (1e3, "ms")}
    parts = []
    for figure in SHOWN:
        value, (scale, unit) = compared(one, figure), units.get(figure, (1.0, "tok/s"))
        parts.append(f"{figure} –" if value is None else f"{figure} {scale * value:.4g} {unit}")
    return ", ".join(parts)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f} %"
