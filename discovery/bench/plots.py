"""The plots of a benchmark, as PNG.

matplotlib is imported here and nowhere else, and this module only when a report is written. Figures are made without
`pyplot`, so no display and no global state is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from discovery.bench.columns import by_rate
from discovery.bench.running import LEVEL, Result
from engine_bridge.harness import COMPARED, compared

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind can tell apart; without yellow, which white paper swallows."""
MARKERS = "osD^vPX*<>ph"
LINES = ("-", "--", "-.", ":")
PANELS = 6
"""Most rates that get a panel of their own."""
MOST_TICKS = 10
"""Most rates that are each named on the axis."""
DPI = 130
BAND = 20
"""Percent within which the simulator is to be."""


def attainment_plot(results: Sequence[Result]) -> bytes:
    """Attainment against rate, one line a policy; bars if there is one rate."""
    rates = {result.rate for result in results}
    figure = _attainment_lines(results) if len(rates) > 1 else _attainment_bars(results)
    return _png(figure)


def frontier_plot(results: Sequence[Result]) -> bytes:
    """p99 of TPOT against p99 of TTFT, one panel a rate; a line joins those that no other beats in both."""
    groups = _spread_out([(rate, group) for rate, group in by_rate(results)])
    columns = 2 if len(groups) in (2, 4) else min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(1.2 + (6.4 if columns == 1 else 3.9 * columns), 0.4 + (4.2 if rows == 1 else 3.6 * rows)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    styles = _styles(results)
    for panel, (rate, group) in zip(axes, groups, strict=False):
        _frontier(panel, group, styles)
        if rate is not None:
            panel.set_title(f"{rate:g} requests/s", fontsize=10)
    for panel in axes[len(groups) :]:
        panel.set_axis_off()
    _legend(figure, axes[0])
    return _png(figure)


def fidelity_plot(results: Sequence[Result]) -> bytes:
    """The simulator's error, figure by figure, a mark a policy and rate; grey: how far the rounds lie apart."""
    figure = Figure(figsize=(8.2, 4.4))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    styles, names = _styles(results), list(COMPARED)
    widest = float(BAND)
    for place, name in enumerate(names):
        for result in results:
            error = result.errors.get(name)
            if error is None:
                continue
            axes.plot(100 * error, place, label=result.policy.name, **{**styles[result.policy.name], "linestyle": ""})
            low, high = _rounds_apart(result, name)
            axes.plot([low, high], [place, place], color="0.8", linewidth=7, solid_capstyle="butt", zorder=0)
            widest = max(widest, abs(100 * error), -low, high)
    axes.axvspan(-BAND, BAND, color="#009e73", alpha=0.08, zorder=-1)
    axes.axvline(0, color="0.5", linewidth=0.8)
    axes.set_xlim(-1.1 * widest, 1.1 * widest)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("simulated over measured, less 1 (%)")
    _plain(axes)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside right upper", frameon=False, fontsize=9)
    return _png(figure)


def _rounds_apart(result: Result, name: str) -> tuple[float, float]:
    """Lowest and highest round, in percent from the median."""
    middle = None if result.metrics is None else compared(result.metrics, name)
    values = [value for figures in result.rounds if (value := compared(figures, name)) is not None]
    if not middle or not values:
        return 0.0, 0.0
    return 100 * (min(values) / middle - 1), 100 * (max(values) / middle - 1)


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the points that no other is below in one coordinate and not above in the other; by the first one."""
    order = sorted(range(len(points)), key=lambda i: points[i])
    found: list[int] = []
    for i in order:
        if not found or points[i][1] < points[found[-1]][1]:
            found.append(i)
    return found


def _attainment_lines(results: Sequence[Result]) -> Figure:
    figure = Figure(figsize=(8.2, 4.6))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    styles = _styles(results)
    for name, style in styles.items():
        own = [r for r in results if r.policy.name == name and r.metrics is not None and r.rate is not None]
        own.sort(key=lambda r: r.rate or 0.0)
        shares = [100 * r.metrics.attainment for r in own if r.metrics is not None]
        axes.plot([r.rate or 0.0 for r in own], shares, label=name, linewidth=1.6, **style)
    axes.axhline(100 * LEVEL, color="0.6", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.annotate(f"{100 * LEVEL:g} %", (0, 100 * LEVEL), xycoords=("axes fraction", "data"), fontsize=8, color="0.45",
                  xytext=(3, -9), textcoords="offset points")  # fmt: skip
    axes.set_xlabel("arrivals per second")
    axes.set_ylabel("requests within both SLOs (%)")
    axes.set_ylim(-3, 103)
    rates = sorted({r.rate for r in results if r.rate is not None})
    if len(rates) <= MOST_TICKS:
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    _plain(axes)
    _legend(figure, axes)
    return figure


def _attainment_bars(results: Sequence[Result]) -> Figure:
    own = [(100 * r.metrics.attainment, r.policy.name) for r in results if r.metrics is not None]
    own.sort(key=lambda each: each[0])
    figure = Figure(figsize=(8.2, 1.1 + 0.3 * len(own)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    bars = axes.barh([name for _, name in own], [share for share, _ in own], color=COLOURS[1], height=0.62)
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.axvline(100 * LEVEL, color="0.6", linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_xlabel("requests within both SLOs (%)")
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    _plain(axes)
    axes.grid(visible=False, axis="y")
    return figure


def _frontier(axes: Axes, group: Sequence[Result], styles: dict[str, dict[str, Any]]) -> None:
    """One panel."""
    points = [
        (r.metrics.ttft.p99, 1e3 * r.metrics.tpot.p99, r.policy.name)
        for r in group
        if r.metrics is not None and r.metrics.tpot is not None
    ]
    best = [points[i] for i in frontier([point[:2] for point in points])]
    if len(best) > 1:
        axes.plot([p[0] for p in best], [p[1] for p in best], color="0.75", linewidth=5, zorder=0, alpha=0.6,
                  solid_capstyle="round", label="_frontier")  # fmt: skip
    for place, (ttft, tpot, name) in enumerate(points):
        size = 11 - 6 * place / max(len(points) - 1, 1)  # the later ones are smaller, so that none hides another
        style = {**styles[name], "linestyle": "none", "markersize": size}
        axes.plot([ttft], [tpot], label=name, **style)
    for values, scale, axis in (
        ([p[0] for p in points], axes.set_xscale, axes.xaxis),
        ([p[1] for p in points], axes.set_yscale, axes.yaxis),
    ):
        if values and min(values) > 0 and max(values) > 8 * min(values):
            scale("log")
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter("")
    axes.set_xlabel("TTFT p99 (s)")
    axes.set_ylabel("TPOT p99 (ms)")
    axes.margins(0.12)
    _plain(axes)


def _styles(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each policy: alone each repeats, together they do not."""
    names = list(dict.fromkeys(result.policy.name for result in results))
    return {
        name: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
            "markerfacecolor": "white" if i // len(COLOURS) % 2 else COLOURS[i % len(COLOURS)],
            "markersize": 5.5,
            "alpha": 0.9,
        }
        for i, name in enumerate(names)
    }


def _spread_out(groups: list[Any]) -> list[Any]:
    """At most `PANELS` of them, the first and the last among them."""
    if len(groups) <= PANELS:
        return groups
    return [groups[round(i * (len(groups) - 1) / (PANELS - 1))] for i in range(PANELS)]


def _plain(axes: Axes) -> None:
    """Little ink beside the data."""
    axes.grid(visible=True, color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, length=3)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9, handlelength=2.8)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
