"""The runs of a sweep as one page that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import llmsim
from llmsim.arguments import Value
from llmsim.errors import InputError
from llmsim.report import figures
from llmsim.report.document import document
from llmsim.report.figures import COUNT, ENERGY, PERCENT, TIME, Ladder
from llmsim.report.markup import definitions, picture, spaced, text_table, tile
from llmsim.report.plots import Plot
from llmsim.report.sortable import Cell, Heading, sortable_table

BEST_NOTE = (
    "Set apart: runs that no other beats in active energy a query, accuracy and 99th percentile of latency "
    "together. Runs of different workloads, or that serve different numbers of queries, do not do the same "
    "work."
)


@dataclass(frozen=True)
class Shown:
    """A figure as a column of the page: its key in a run's figures, units, and what it means."""

    key: str
    title: str
    ladder: Ladder
    meaning: str
    factor: float = 1.0


COLUMNS = (
    Shown("energy_active_j", "active", ENERGY, "energy while serving queries"),
    Shown("energy_j", "total energy", ENERGY, "active and idle energy over the run's horizon"),
    Shown("energy_active_per_query_j", "active a query", ENERGY, "active energy over served queries"),
    Shown("accuracy_pct", "accuracy", PERCENT, "token-weighted mean over served queries"),
    Shown("latency_mean_s", "latency, mean", TIME, "arrival to last token"),
    Shown("latency_p99_s", "latency, p99", TIME, "99th percentile, arrival to last token"),
    Shown("ttft_p99_s", "first token, p99", TIME, "99th percentile, arrival to first token"),
    Shown("wait_p99_s", "wait, p99", TIME, "99th percentile, arrival to start"),
    Shown("utilisation", "utilisation", PERCENT, "busy time over horizon times instances", 100.0),
    Shown("served", "served", COUNT, "queries that were served"),
)


@dataclass(frozen=True)
class RunRow:
    """A run as the page shows it.

    Attributes:
        run: its number.
        settings: what sets it apart from the others.
        figures: by the keys of COLUMNS; None where it has none.
        best: whether no other run beats it.
    """

    run: int
    settings: Mapping[str, Value]
    figures: Mapping[str, float | None]
    best: bool


@dataclass(frozen=True)
class SweepPage:
    """What the page of a sweep says.

    Attributes:
        command: the words of the sweep.
        alike: settings that all runs share.
        rows: the runs that are done.
        failed: number, settings as words, status and reason of each that is not.
        found: what a search found, where the sweep is one.
    """

    command: Sequence[str]
    alike: Mapping[str, Value]
    rows: Sequence[RunRow]
    failed: Sequence[tuple[str, str, str, str]]
    found: str = ""


def write_page(page: SweepPage, plots: Sequence[Plot], path: Path) -> None:
    """Write the page.

    Raises:
        InputError: when the file cannot be written.
    """
    try:
        path.write_text(render(page, plots), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"The page cannot be written to {path}: {error.strerror or error}") from error


def render(page: SweepPage, plots: Sequence[Plot]) -> str:
    """The page as text."""
    headline = f"{len(page.rows) + len(page.failed)} runs, {len(page.failed)} failed"
    known = [row.figures.get("energy_active_j") for row in page.rows]
    least = min((joules for joules in known if joules is not None), default=None)
    tiles = (
        (figures.count(len(page.rows)), "runs that are done"),
        (figures.count(len(page.failed)), "failed"),
        (figures.count(sum(row.best for row in page.rows)), "that no other beats"),
        (figures.energy(least), "least active energy"),
    )
    body = [
        f"<h1>{spaced(headline)}</h1>",
        f'<p class="soft">llmsim -m {escape(" ".join(page.command))}</p>',
        f'<div class="tiles">{"".join(tile(*pair) for pair in tiles)}</div>',
        f"<p>{spaced(page.found)}</p>" if page.found else "",
        *(picture(plot.title, plot.caption, (plot.svg, plot.png)) for plot in plots),
    ]
    if page.rows:
        body += ["<h2>Runs</h2>", runs_table(page.rows), f'<p class="soft">{BEST_NOTE}</p>']
    if page.failed:
        body += ["<h2>Failed</h2>", text_table(("run", "settings", "status", "reason"), page.failed)]
    if page.alike:
        body += ["<h2>The same in all runs</h2>", definitions([(k, str(v)) for k, v in page.alike.items()])]
    body.append(f"<footer>llmsim {llmsim.__version__}</footer>")
    return document(f"llmsim: {headline}", "\n".join(body))


def runs_table(rows: Sequence[RunRow], names: Sequence[str] = ()) -> str:
    """The runs, sortable by each setting and figure; by names of their own, where given, or by number."""
    settings = list(dict.fromkeys(key for row in rows for key in row.settings))
    shown = [column for column in COLUMNS if any(row.figures.get(column.key) is not None for row in rows)]
    scales = [figures.common_scale([_figure(row, c) for row in rows], c.ladder) for c in shown]
    headings = [Heading("run"), *(Heading(key) for key in settings)]
    headings += [
        Heading(f"{column.title}, {scale.unit}" if scale.unit else column.title, column.meaning)
        for column, scale in zip(shown, scales, strict=True)
    ]
    lines = []
    for place, row in enumerate(rows):
        run = Cell(names[place]) if names else Cell(str(row.run), float(row.run))
        cells = [run, *(_setting(row.settings.get(key)) for key in settings)]
        for column, scale in zip(shown, scales, strict=True):
            value = _figure(row, column)
            text = figures.count(value) if column.ladder is COUNT else scale.text(value)
            cells.append(Cell(text, float("nan") if value is None else value))
        lines.append(cells)
    return sortable_table(headings, lines, [n for n, row in enumerate(rows) if row.best])


def _figure(row: RunRow, column: Shown) -> float | None:
    value = row.figures.get(column.key)
    return None if value is None else float(value) * column.factor


def _setting(value: Value) -> Cell:
    if value is None:
        return Cell(figures.ABSENT, float("nan"))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(f"{value:g}", float(value))
    return Cell(str(value))
