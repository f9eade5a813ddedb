"""The columns in which results are shown, to people at a terminal and in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from discovery.bench.running import Result
from discovery.tables import WIDE
from engine_bridge.harness import COMPARED, compared
from engine_bridge.metrics import Metrics

NONE = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a run.

    figure: the number, None if there is none. better: which one wins; None: none does. meaning: for the report.
    where: shown `always`, at a terminal of `wide` or more characters, or only in the `report`.
    """

    heading: str
    unit: str
    figure: Callable[[Metrics], float | None]
    digits: int
    better: Literal["low", "high"] | None
    meaning: str
    where: Literal["always", "wide", "report"] = "always"

    def text(self, result: Result) -> str:
        """The figure as it is shown."""
        value = None if result.metrics is None else self.figure(result.metrics)
        return NONE if value is None else f"{value:,.{self.digits}f}"

    def winners(self, results: Sequence[Result]) -> set[str]:
        """The policies that are best as shown; none if most are: then nothing has been won."""
        if self.better is None:
            return set()
        shown = {r.policy.name: float(t.replace(",", "")) for r in results if (t := self.text(r)) != NONE}
        if len(set(shown.values())) < 2:
            return set()
        best = min(shown.values()) if self.better == "low" else max(shown.values())
        winners = {name for name, value in shown.items() if value == best}
        return winners if len(winners) <= max(2, len(shown) // 2) else set()


def percent(share: float | None) -> float | None:
    """A share that may be unknown."""
    return None if share is None else 100 * share


COLUMNS = (
    Column("TTFT p50", "s", lambda m: m.ttft.p50, 3, "low", "Time to first token: first token − arrival; median."),
    Column("TTFT p90", "s", lambda m: m.ttft.p90, 3, "low", "Nine of ten requests wait no longer.", "report"),
    Column("TTFT p99", "s", lambda m: m.ttft.p99, 3, "low", "99 of 100 requests wait no longer."),
    Column(
        "TPOT p50",
        "ms",
        lambda m: None if m.tpot is None else 1e3 * m.tpot.p50,
        2,
        "low",
        "Time per output token after the first, the mean of each request; median over requests.",
        "wide",
    ),
    Column(
        "TPOT p99", "ms", lambda m: None if m.tpot is None else 1e3 * m.tpot.p99, 2, "low", "99th percentile of TPOT."
    ),
    Column(
        "TBT p99",
        "ms",
        lambda m: None if m.tbt is None else 1e3 * m.tbt.p99,
        1,
        "low",
        "Time between two tokens of a request, over all such times: shows stalls that TPOT averages out.",
    ),
    Column("E2E p50", "s", lambda m: m.e2e.p50, 2, "low", "End to end: finish − arrival; median.", "wide"),
    Column("E2E p99", "s", lambda m: m.e2e.p99, 2, "low", "99th percentile of end to end.", "report"),
    Column(
        "SLO met",
        "%",
        lambda m: 100 * m.attainment,
        1,
        "high",
        "Attainment: share of requests with both TTFT and TPOT within their objectives.",
    ),
    Column("TTFT met", "%", lambda m: 100 * m.ttft_attainment, 1, "high", "The same for TTFT alone.", "report"),
    Column("TPOT met", "%", lambda m: 100 * m.tpot_attainment, 1, "high", "The same for TPOT alone.", "report"),
    Column(
        "goodput", "req/s", lambda m: m.goodput, 2, "high", "Requests that meet both objectives, per second of the run."
    ),
    Column("output", "tok/s", lambda m: m.output_throughput, 0, "high", "Output tokens per second of the run."),
    Column("total", "tok/s", lambda m: m.total_throughput, 0, "high", "Prompt and output tokens per second.", "report"),
    Column(
        "hits",
        "%",
        lambda m: percent(m.hit_share),
        1,
        "high",
        "Prompt tokens found in the prefix cache when the request was first admitted.",
        "wide",
    ),
    Column("preempted", "times", lambda m: m.preemptions, 0, "low", "How often a request lost its KV and began anew."),
    Column("KV", "%", lambda m: percent(m.mean_kv), 1, None, "KV blocks held, mean over the busy time.", "wide"),
    Column("KV peak", "%", lambda m: percent(m.peak_kv), 1, None, "KV blocks held at most.", "report"),
    Column(
        "fairness",
        "max/min",
        lambda m: m.fairness,
        2,
        "low",
        "Largest over smallest service rate among clients, 1 is even: the time a client's requests would take alone on"
        " the engine over the time they took. None where there is one client.",
        "wide",
    ),
    Column(
        "scheduler",
        "µs/step",
        lambda m: m.scheduler_us,
        0,
        None,
        "Wall time of the policy's answers per step in which it was asked, on this machine: noisy, and with the way to"
        " the sandbox and back for a policy that runs sealed. In a simulation it is no part of the times.",
        "wide",
    ),
    Column(
        "fallbacks",
        "steps",
        lambda m: m.fallbacks,
        0,
        None,
        "Steps done again as FCFS, as nothing was scheduled.",
        "report",
    ),
    Column(
        "invalid",
        "answers",
        lambda m: m.invalid,
        0,
        None,
        "Answers of the policy that were none; done without.",
        "report",
    ),
)

UNITS = {
    name: ("tok/s", 1.0, 0) if name == "throughput" else ("ms", 1e3, 2) if "TPOT" in name else ("s", 1.0, 3)
    for name in COMPARED
}
"""Unit, factor and digits of the figures that the simulator is judged by."""
SHOWN = ("TTFT p50", "TTFT p99", "TPOT p50", "throughput")
"""Those of them that fit a terminal."""


def by_rate(results: Sequence[Result]) -> Iterator[tuple[float | None, list[Result]]]:
    """The results at each rate, in the order of the runs."""
    for rate in dict.fromkeys(result.rate for result in results):
        yield rate, [result for result in results if result.rate == rate]


def results_table(results: Sequence[Result], title: str, caption: str, width: int) -> Table:
    """One row a policy and rate; the best of each rate are bold and starred."""
    wide = width >= WIDE
    shown = [column for column in COLUMNS if column.where == "always" or (column.where == "wide" and wide)]
    rated = any(result.rate is not None for result in results)
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    if rated:
        table.add_column(_heading("rate", "/s"), justify="right", no_wrap=True)
    table.add_column(_heading("policy", ""), no_wrap=True, overflow="ellipsis")
    for column in shown:
        table.add_column(_heading(column.heading, column.unit), justify="right", no_wrap=True)
    for rate, group in by_rate(results):
        best = {column.heading: column.winners(group) for column in shown}
        for place, result in enumerate(group):
            name = result.policy.name
            cells = [_cell(column.text(result), name in best[column.heading]) for column in shown]
            head = [Text(f"{rate:g}" if rate is not None and place == 0 else "")] if rated else []
            table.add_row(*head, Text(name), *cells, end_section=result is group[-1])
    return table


def spread(result: Result, name: str) -> str:
    """Lowest and highest of the rounds, relative to their median."""
    values = [value for figures in result.rounds if (value := compared(figures, name)) is not None]
    middle = None if result.metrics is None else compared(result.metrics, name)
    if not values or not middle:
        return NONE
    return f"{100 * (min(values) / middle - 1):+.0f} … {100 * (max(values) / middle - 1):+.0f} %"


def fidelity_table(results: Sequence[Result], caption: str) -> Table:
    """What was measured, what the simulator says of the same, and the error; a row a policy and rate."""
    table = Table(title="the simulator beside it", caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    rated = any(result.rate is not None for result in results)
    for heading in (["rate"] if rated else []) + ["policy"]:
        table.add_column(heading, no_wrap=True)
    for name in SHOWN:
        table.add_column(f"{name}\n{UNITS[name][0]}\nmeasured", justify="right", no_wrap=True)
        table.add_column("\n\nsimulated", justify="right", no_wrap=True)
        table.add_column("\n\nerror", justify="right", no_wrap=True)
    for result in results:
        if result.metrics is not None and result.predicted is not None:
            cells = (cell for name in SHOWN for cell in fidelity_cells(result, name))
            table.add_row(*([f"{result.rate:g}"] if result.rate is not None else []), result.policy.name, *cells)
    return table


def fidelity_cells(result: Result, name: str) -> tuple[str, str, str]:
    """One figure as measured and as simulated, and the error in percent."""
    scale, digits = UNITS[name][1:]
    fact, guess = (
        None if figures is None else compared(figures, name) for figures in (result.metrics, result.predicted)
    )
    error = result.errors.get(name)
    return (
        NONE if fact is None else f"{scale * fact:,.{digits}f}",
        NONE if guess is None else f"{scale * guess:,.{digits}f}",
        NONE if error is None else f"{100 * error:+.1f} %",
    )


def _heading(name: str, unit: str) -> str:
    """Three lines: a name of two words takes two of them, so that columns stay narrow."""
    first, _, second = name.rpartition(" ")
    return f"{first}\n{second}\n{unit}"


def _cell(text: str, wins: bool) -> Text:
    """A star keeps winners visible without colours; without one, its place stays free."""
    return Text(f"{text}*", style="bold green") if wins else Text(f"{text} ")
