"""Runs side by side: a page, and tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import llmsim
from llmsim.report import figures
from llmsim.report.document import document
from llmsim.report.figures import ENERGY, PERCENT, POINTS, TIME
from llmsim.report.grid import Grid
from llmsim.report.markup import definitions, picture, spaced
from llmsim.report.paired import BATCHES, LEVEL, Difference
from llmsim.report.plots import Plot
from llmsim.report.sortable import Cell, Heading, sortable_table
from llmsim.report.sweep_page import RunRow, runs_table

TITLES = {
    "energy_j": ("active energy a query", ENERGY),
    "latency_s": ("latency", TIME),
    "ttft_s": ("first token", TIME),
    "wait_s": ("wait", TIME),
    "accuracy_pct": ("accuracy", PERCENT),
}
NOTE = (
    f"Each run less the first, query by query, over the queries that both served; {LEVEL:.0%} intervals by "
    f"the means of {BATCHES} batches of consecutive queries."
)


@dataclass(frozen=True)
class Compared:
    """What a comparison shows.

    Attributes:
        names: of the runs, the first of which the others are held against.
        folders: where they are.
        rows: their settings and figures.
        differences: of each other run by name: its measures, or why it cannot be held against the first.
        left_out: runs of sweeps that have no result, as sentences.
    """

    names: Sequence[str]
    folders: Sequence[str]
    rows: Sequence[RunRow]
    differences: Mapping[str, Mapping[str, Difference] | str]
    left_out: Sequence[str] = ()


def lines(compared: Compared) -> list[tuple[str, ...]]:
    """Run, measure, mean of the first, difference, its interval, per cent, pairs: a line each, as texts."""
    found: list[tuple[str, ...]] = []
    for name, measures in compared.differences.items():
        if isinstance(measures, str):
            found.append((name, measures, *[figures.ABSENT] * 5))
            continue
        for key, item in measures.items():
            title, ladder = TITLES[key]
            apart = POINTS if ladder is PERCENT else ladder
            low, high = (figures.quantity(end, apart) for end in (item.low, item.high))
            shown = (figures.quantity(item.first, ladder), figures.quantity(item.mean, apart))
            if low.split()[1:] == high.split()[1:]:
                low = low.split()[0]  # the unit stands once
            between = figures.ABSENT if item.low is None else f"{low} to {high}"
            found.append(
                (name, title, *shown, between, figures.percent(item.percent), figures.count(item.pairs))
            )
    return found


HEADINGS = ("run", "measure", "the first run", "difference", "interval", "of the first", "queries")


def render(compared: Compared, plots: Sequence[Plot] = ()) -> str:
    """The page as text."""
    headline = f"{len(compared.names)} runs side by side"
    rows = [[Cell(text) for text in line] for line in lines(compared)]
    body = [
        f"<h1>{headline}</h1>",
        definitions(list(zip(compared.names, compared.folders, strict=True))),
        *(f"<p>{spaced(sentence)}</p>" for sentence in compared.left_out),
        *(picture(plot.title, plot.caption, (plot.svg, plot.png)) for plot in plots),
        "<h2>Figures</h2>",
        runs_table(compared.rows, compared.names),
        f"<h2>Paired differences from run {escape(compared.names[0])}</h2>",
        sortable_table([Heading(text) for text in HEADINGS], rows),
        f'<p class="soft">{escape(NOTE)}</p>',
        f"<footer>llmsim {llmsim.__version__}</footer>",
    ]
    return document(f"llmsim: {headline}", "\n".join(body))


def table(compared: Compared) -> Grid:
    """The differences, for the terminal."""
    return Grid(f"Held against {compared.names[0]}", HEADINGS, lines(compared), words=2)
