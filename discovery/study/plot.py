"""The plot of a study, as PNG; matplotlib is imported here, and this module only when a plot is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.figure import Figure

from discovery.study.curves import Axis, Course
from evaluators.statistics import median_of

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind can tell apart; without yellow, which white paper swallows."""
LINES = ("-", "--", "-.", ":")
POINTS = 200
"""Places at which a curve is drawn, at most."""
BANDS = 3
"""Most arms whose intervals are drawn: more would hide one another."""


def gap_plot(courses: Mapping[str, Sequence[Course]], axis: Axis, title: str) -> bytes:
    """Best train gap against what was spent: the median over seeds, for few arms with its bootstrap interval."""
    held = {arm: found for arm, found in courses.items() if found}
    most = max(course.spent(axis) for found in held.values() for course in found)
    places = sorted({round(most * step / POINTS) for step in range(POINTS + 1)})
    figure = Figure(figsize=(8.6, 4.8))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for number, (arm, found) in enumerate(held.items()):
        medians = [median_of([course.gap_after(place, axis) for course in found]) for place in places]
        colour, line = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
        label = f"{arm} ({len(found)})"
        axes.step(places, [each.value for each in medians], where="post", color=colour, linestyle=line, label=label)
        if len(held) <= BANDS and len(found) > 1:
            low, high = [each.low for each in medians], [each.high for each in medians]
            axes.fill_between(places, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel({"calls": "calls of models", "candidates": "candidates"}[axis])
    axes.set_ylabel("best gap on train so far (%)")
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(visible=True, color="0.9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
