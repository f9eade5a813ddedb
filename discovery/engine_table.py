"""The replay of winners on an engine, for people."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from discovery.engine_scores import EngineReplay, EngineScore


def engine_table(run: str, replay: EngineReplay) -> Table:
    """Real and simulated costs side by side, best on the engine first."""
    conditions = replay.conditions
    workload = conditions["workload"]
    table = Table(
        title=f"{run} on engine {replay.engine}: {conditions['title']}",
        caption=(
            f"cost: {conditions['cost']} · {workload['requests']} requests of {workload['name']}, median of"
            f" {conditions['on']['rounds']} rounds by turns · error: simulated over measured, less 1"
        ),
        box=SIMPLE_HEAD,
    )
    table.add_column("place", justify="right")
    table.add_column("heuristic", no_wrap=True)
    for heading in ("measured", "simulated", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in replay.scores:
        table.add_row(str(score.place), score.heuristic, *_figures(score))
    return table


def engine_verdict(replay: EngineReplay) -> str:
    """One sentence: who is best on the engine, and what the simulator had said."""
    served = [score for score in replay.scores if score.measured is not None]
    if not served:
        return f"On the engine ({replay.conditions['title']}) no policy served all requests."
    best, *others = served
    second = f", ahead of {others[0].heuristic} with {_number(others[0].measured)}" if others else ""
    return (
        f"On the engine ({replay.conditions['title']}) {best.heuristic} is first of {len(replay.scores)}: "
        f"{_number(best.measured)}{second} ({replay.conditions['cost']}; simulated {_number(best.simulated)})."
    )


def _figures(score: EngineScore) -> tuple[str, str, str]:
    if score.measured is None:
        return (score.failure or "–", _number(score.simulated), "–")
    error = "–" if score.error is None else f"{100 * score.error:+.1f} %"
    return (_number(score.measured), _number(score.simulated), error)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
