"""The command operators: what each operator and model of a run brought, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from discovery.archive import Archive
from discovery.folders import latest_run, run_folder
from discovery.output import print_json
from discovery.search_report import Effort, Elite, SearchReport, search_report
from discovery.tables import console

CAPTION = (
    "new: with a score · rewritten: written like an earlier one, not evaluated · alike: decides like an earlier one on"
    " the probes · improved: the run's best so far"
)


def operators(name: str | None, *, as_json: bool) -> None:
    """Print the report on a run's search; by default the latest run's."""
    with Archive(run_folder(name) if name else latest_run(), "read") as archive:
        report = search_report(archive)
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report, console())


def print_report(report: SearchReport, out: Console) -> None:
    """Operators; models, where there are several; the cells; the latest lesson."""
    out.print(effort_table("operator", report.operators, caption=CAPTION))
    if len([model for model in report.models if model.tokens]) > 1:
        out.print(effort_table("model", report.models))
    if report.cells:
        out.print(cells_table(report.cells))
    if report.lessons.candidates:
        out.print(f"lessons drawn: {report.lessons.candidates}, {report.lessons.tokens:,} tokens; the latest:")
        out.print(report.lesson, markup=False, highlight=False)


def effort_table(what: str, efforts: Sequence[Effort], caption: str = "") -> Table:
    """One row each, and their sum; columns that would be empty are left out."""
    money, shares = any(each.cost for each in efforts), any(each.chance is not None for each in efforts)
    headings = ["candidates", "new", "rewritten", "alike", "failed", "improved", "best gap %", "tokens"]
    headings += ["cost"] * money + ["drawn now"] * shares
    table = Table(title=f"what each {what} brought", caption=caption, box=SIMPLE_HEAD)
    table.add_column(what, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for each in efforts:
        counts = (each.candidates, each.new, each.rewritten, each.alike, each.failed, each.improved)
        best = "" if each.best is None else f"{each.best:.3f}"
        row = [each.name, *map(str, counts), best, f"{each.tokens:,}"]
        row += [f"{each.cost:.4f}"] * money
        row += ["" if each.chance is None else f"{100 * each.chance:.0f} %"] * shares
        table.add_row(*row)
    return table


def cells_table(cells: Sequence[Elite]) -> Table:
    """The grid: classes down, sizes across; in each cell the gap of its best, and which that is."""
    sizes = sorted({cell.size for cell in cells})
    table = Table(
        title="the best of each kind: gap on train in %, and number",
        caption="down: the class it is best at, against the best baseline there · across: nodes of its syntax tree",
        box=SIMPLE_HEAD,
    )
    table.add_column("class", no_wrap=True)
    for size in sizes:
        table.add_column(f"{2 ** (size - 1)}–{2**size - 1}", justify="right", no_wrap=True)
    held = {(cell.strongest, cell.size): f"{cell.gap:.3f} #{cell.label}" for cell in cells}
    for strongest in sorted({cell.strongest for cell in cells}):
        table.add_row(strongest, *(held.get((strongest, size), "") for size in sizes))
    return table
