"""A comparison of simulated with measured runs as one page that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from llmsim.report import fidelity_table as tables
from llmsim.report import figures
from llmsim.report.document import document
from llmsim.report.figures import ENERGY, TIME
from llmsim.report.grid import Grid
from llmsim.report.markup import definitions, picture, spaced, tile
from llmsim.report.plots import Plot
from llmsim.report.sortable import Cell, Heading, sortable_table

Summary = Mapping[str, Any]
TILES = {
    "energy_active_j": "active energy",
    "makespan_s": "makespan",
    "ttft_s.mean": "TTFT, mean",
    "tpot_s.mean": "TPOT, mean",
    "latency_s.mean": "latency, mean",
    "latency_s.p50": "latency, median",
    "latency_s.p90": "latency, 90th percentile",
    "latency_s.p99": "latency, 99th percentile",
}


def render(summary: Summary, plots: Sequence[Plot], config_yaml: str = "") -> str:
    """The page as text.

    Args:
        summary: the content of `fidelity.json`.
        plots: of `fidelity_plots.charts`, drawn.
        config_yaml: the run's configuration as YAML.
    """
    label, row = next(iter(summary["rows"].items()))
    lead, *others = tables.findings(summary)
    tiles = "".join(
        tile(tables.gap(row["gap_pct"][key]), f"{what}, of measured") for key, what in TILES.items()
    )
    body = [
        f"<h1>Simulated against measured: {escape(label)}</h1>",
        f'<p class="lead">{spaced(lead)}</p>',
        *(
            f'<div class="warning" role="alert">{spaced(text)}</div>'
            if text.startswith(tables.FAILED)
            else f"<p>{spaced(text)}</p>"
            for text in others
        ),
        f'<p class="soft">{escape(_subtitle(summary))}</p>',
        f'<div class="tiles">{tiles}</div>',
        *(_table(grid) for grid in (tables.sides(summary), tables.services(summary))),
        '<h2>Plots</h2><div class="plots">',
        *(picture(plot.title, plot.caption, (plot.svg, plot.png)) for plot in plots),
        "</div>",
        *(
            _table(grid)
            for grid in (tables.parts(summary), tables.deployments(summary), tables.pairs(summary))
        ),
        _origin(summary),
        f"<details><summary>Configuration, as YAML</summary><pre>{escape(config_yaml)}</pre></details>"
        if config_yaml
        else "",
        f"<footer>llmsim {escape(str(summary['llmsim_version']))}</footer>",
    ]
    return document("llmsim: simulated against measured", "\n".join(part for part in body if part))


def _subtitle(summary: Summary) -> str:
    workload = summary["workload"]
    said = [f"Workload {workload['name']}, {summary['queries']:,} queries", *workload["notes"]]
    said.append(f"Energy: {summary['energy_method']}, {summary['energy_scope']}")
    return ". ".join(str(text).rstrip(". ") for text in said) + "."


def _table(grid: Grid) -> str:
    """A grid whose columns sort by their numbers."""
    if not grid.rows:
        return ""
    rows = [[Cell(row[0]), *(Cell(text, _number(text)) for text in row[1:])] for row in grid.rows]
    note = f'<p class="soft">{escape(grid.note)}</p>' if grid.note else ""
    headings = [Heading(text) for text in grid.headings]
    return f"<h2>{escape(grid.title)}</h2>{note}{sortable_table(headings, rows)}"


def _number(text: str) -> float | None:
    """What a cell sorts by: None for words."""
    if text == figures.ABSENT:
        return float("nan")
    number, _, unit = text.replace("−", "-").replace(",", "").replace("± ", "").partition(" ")
    try:
        value = float(number)
    except ValueError:
        return None
    factors = {sign: factor for ladder in (ENERGY, TIME) for factor, sign in ladder}
    return value * factors.get(unit, 1.0)


def _origin(summary: Summary) -> str:
    """How the measured side was had."""
    case = summary["case"] or {}
    pairs = [
        *((key, str(value)) for key, value in case.items()),
        ("backend", str(summary["backend"])),
        ("disciplines", ", ".join(f"{name}: {what}" for name, what in summary["disciplines"].items())),
        ("pieces of work", ", ".join(f"{name}: {row['pieces']:,}" for name, row in summary["rows"].items())),
        *(("note", str(note)) for note in summary["notes"]),
        *(
            (f"{name}: no {key}", str(why))
            for name, row in summary["rows"].items()
            for key, why in row["absent"].items()
        ),
    ]
    return f"<h2>Where it is from</h2>{definitions(pairs)}"
