"""Plots of simulated runs against measured ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.curves.cost import FloatArray
from llmsim.report import labels, series
from llmsim.report.charts_energy import unit_of
from llmsim.report.drawing import Chart
from llmsim.report.fidelity_table import MEASURES, gap
from llmsim.report.figures import ENERGY, TIME
from llmsim.report.folding import folded
from llmsim.report.palette import DEPLOYMENTS, OTHERS, POLICY
from llmsim.report.ticks import plain_ticks
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.metrics import latency_s, tpot_s, ttft_s
from llmsim.studies.fidelity import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Summary = Mapping[str, Any]
MEASURED, SIMULATED, BROAD = POLICY, "#0072B2", "#9AA1AB"
PART_COLOURS = {"curve": "#0072B2", "overhead": "#E69F00", "scheduling": "#009E73", "choices": "#CC79A7"}
PHASE_COLOURS = {"prefill": "#D55E00", "decode": "#0072B2", "serve": "#009E73"}
TIMES: Mapping[str, Callable[[Ledger], FloatArray]] = {
    "first token": ttft_s,
    "a later token": tpot_s,
    "latency": latency_s,
}
POINTS = 400  # of a line, about
DOTS = 6000  # queries or pieces that are drawn of a row, about
TICKS = 6  # of an axis of gaps, about
MOST_ROWS = 8  # rows that have a plot of their own


def charts(summary: Summary, rows: Sequence[Row]) -> dict[str, Chart]:
    """Every plot, by the name of its file."""
    found: dict[str, Chart] = {
        "sides": partial(_sides, summary=summary),
        "parts": partial(_parts, summary=summary),
    }
    for number, row in enumerate(rows[:MOST_ROWS]):
        found[f"distributions_{number}"] = partial(_distributions, row=row)
    return found | {"queries": partial(_scatter, rows=rows), "pieces": partial(_pieces, row=rows[0])}


def _sides(figure: Figure, summary: Summary) -> tuple[str, str] | None:
    """Energy and makespan of each row, measured over simulated."""
    rows = summary["rows"]
    kinds = [
        (key, ladder)
        for key, ladder in (("energy_active_j", ENERGY), ("makespan_s", TIME))
        if any(row["measured"][key] is not None for row in rows.values())
    ]
    panels = _beside(figure, list(rows), len(kinds), 0.52, {"measured": MEASURED, "simulated": SIMULATED})
    for axes, (key, ladder) in zip(panels, kinds, strict=True):
        values = [row[side][key] for row in rows.values() for side in ("measured", "simulated")]
        scale = unit_of(values, ladder)
        most = max((value for value in values if value is not None), default=0.0) / scale.factor
        for y, row in enumerate(rows.values()):
            for side, colour, up in (("measured", MEASURED, -0.19), ("simulated", SIMULATED, 0.19)):
                value = row[side][key]
                if value is not None:
                    axes.barh(y + up, value / scale.factor, height=0.34, color=colour)
            text = gap(row["gap_pct"][key])
            longest = max(row[side][key] or 0.0 for side in ("measured", "simulated")) / scale.factor
            axes.text(longest + 0.015 * most, y, text, va="center", fontsize=8.5)
        axes.set_xlim(0, 1.2 * most or 1.0)
        axes.set_xlabel(f"{MEASURES[key]} ({scale.unit})")
    return (
        "Energy and makespan, measured and simulated",
        "Beside the bars: (simulated - measured) / measured.",
    )


def _parts(figure: Figure, summary: Summary) -> tuple[str, str] | None:
    """Parts of the gaps, stacked to both sides of 0."""
    from matplotlib.ticker import MaxNLocator

    rows = summary["rows"]
    kinds = [key for key in MEASURES if any(row["parts"][key] for row in rows.values())]
    if not kinds:
        return None
    panels = _beside(figure, list(rows), len(kinds), 0.4, PART_COLOURS)
    for axes, key in zip(panels, kinds, strict=True):
        reach = 0.1
        for y, row in enumerate(rows.values()):
            parts = row["parts"][key]
            if parts is None:
                continue
            ends = {1: 0.0, -1: 0.0}
            for part, colour in PART_COLOURS.items():
                width = 100.0 * parts.get(part, 0.0) / parts["measured"]
                way = 1 if width >= 0 else -1
                axes.barh(y, width, left=ends[way], height=0.56, color=colour)
                ends[way] += width
            total = 100.0 * (parts["simulated"] - parts["measured"]) / parts["measured"]
            axes.plot([total], [y], "D", color=MEASURED, markersize=5, markeredgecolor="white", zorder=4)
            reach = max(reach, ends[1], -ends[-1])
        axes.axvline(0, color=MEASURED, linewidth=0.9)
        axes.set_xlim(-1.15 * reach, 1.15 * reach)
        axes.set_xlabel(f"{MEASURES[key]}: gap (% of measured)")
        axes.xaxis.set_major_locator(MaxNLocator(TICKS))
    return "What the gaps are made of", "The diamond is the whole gap: the sum of its parts."


def _beside(
    figure: Figure, rows: Sequence[str], count: int, each_in: float, legend: Mapping[str, str]
) -> list[Axes]:
    """Panels of bars beside each other, a line a row, under a legend of colours."""
    from matplotlib.patches import Patch

    names = [folded(label) for label in rows]
    figure.set_size_inches(10.4, 1.5 + labels.row_in(names, each_in) * len(rows))
    patches = [Patch(facecolor=colour) for colour in legend.values()]
    left_in = labels.text_width_in(names) + 0.25
    top_in = labels.legend_on_top(figure, patches, list(legend), left_in / figure.get_figwidth())
    width_in, height_in = figure.get_size_inches()
    room_in = (width_in - left_in - 0.15) / count
    panels: list[Axes] = []
    for place in range(count):
        axes = figure.add_axes(
            (
                (left_in + place * room_in) / width_in,
                0.55 / height_in,
                (room_in - 0.2) / width_in,
                (height_in - top_in - 0.6) / height_in,
            )
        )
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), names if not place else [""] * len(rows))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        panels.append(axes)
    return panels


def _distributions(figure: Figure, row: Row) -> tuple[str, str] | None:
    """Empirical distributions of the three times, measured and simulated."""
    sides = (("measured", row.measured.ledger, BROAD), ("simulated", row.simulated.ledger, SIMULATED))
    panels = _panels(figure, len(TIMES), {"measured": BROAD, "simulated": SIMULATED})
    for axes, (name, time_of) in zip(panels, TIMES.items(), strict=True):
        drawn = False
        for side, ledger, colour in sides:
            values = time_of(ledger)
            values = np.sort(values[values > 0])
            if len(values):
                drawn = True
                value, part = series.thinned(values, POINTS)
                width = 3.6 if side == "measured" else 1.5
                axes.plot(value, 100 * part, color=colour, linewidth=width)
        if drawn:
            axes.set_xscale("log")
        axes.set_ylim(0, 101)
        axes.set_xlabel(f"{name} (s)")
        plain_ticks(axes.xaxis)
    panels[0].set_ylabel("queries within (%)")
    return (
        f"{row.label}: how long queries take, measured and simulated",
        "Part of the queries within a time. First token and latency are from arrival; a later token is the "
        "mean of an answer.",
    )


def _scatter(figure: Figure, rows: Sequence[Row]) -> tuple[str, str] | None:
    """Every query's energy and times: simulated over measured."""
    colours = {row.label: _colour(number) for number, row in enumerate(rows)}
    kinds: dict[str, Callable[[Ledger], FloatArray]] = {
        "energy (J)": lambda ledger: ledger.energy_j,
        "first token (s)": ttft_s,
        "latency (s)": latency_s,
    }
    kinds = {
        name: value_of
        for name, value_of in kinds.items()
        if any(len(_paired(row, value_of)[0]) for row in rows)
    }
    panels = _panels(figure, len(kinds), colours, dots=True)
    for axes, (name, value_of) in zip(panels, kinds.items(), strict=True):
        ends: list[float] = []
        for row in reversed(rows):
            measured, simulated = _paired(row, value_of)
            ends += [*measured.tolist(), *simulated.tolist()]
            shown = series.every(np.arange(len(measured)), DOTS)
            axes.scatter(
                measured[shown], simulated[shown], s=7, color=colours[row.label], alpha=0.5, linewidths=0,
                rasterized=True,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        line = (0.8 * min(ends), 1.25 * max(ends))
        axes.plot(line, line, color=MEASURED, linewidth=0.8, zorder=4)
        axes.set_xlim(line)
        axes.set_ylim(line)
        axes.set_xlabel(f"measured {name}")
        axes.set_ylabel(f"simulated {name}")
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
    return "Every query: simulated against measured", "On the line both are equal. Logarithmic axes."


def _pieces(figure: Figure, row: Row) -> tuple[str, str] | None:
    """What curves err in the seconds and joules of each piece, by how long it took."""
    pieces = [piece for one in row.pieces for piece in one]
    kinds = {
        "seconds": [(piece.phase, piece.busy_s, piece.busy_s, piece.predicted_s) for piece in pieces],
        "joules": [(piece.phase, piece.busy_s, piece.measured_j, piece.predicted_j) for piece in pieces],
    }
    kinds = {name: [one for one in found if one[2] > 0] for name, found in kinds.items()}
    kinds = {name: found for name, found in kinds.items() if found}
    if not kinds:
        return None
    phases = [phase for phase in PHASE_COLOURS if any(piece.phase == phase for piece in pieces)]
    panels = _panels(figure, len(kinds), {phase: PHASE_COLOURS[phase] for phase in phases}, dots=True)
    for axes, (name, found) in zip(panels, kinds.items(), strict=True):
        for phase in phases:
            points = np.array([one[1:] for one in found if one[0] == phase]).reshape(-1, 3)
            points = points[series.every(np.arange(len(points)), DOTS)]
            error = 100 * (points[:, 2] - points[:, 1]) / points[:, 1]
            axes.scatter(
                points[:, 0],
                error,
                s=8,
                color=PHASE_COLOURS[phase],
                alpha=0.45,
                linewidths=0,
                rasterized=True,
            )
        axes.set_xscale("log")
        axes.axhline(0, color=MEASURED, linewidth=0.8)
        axes.set_xlabel("seconds of the piece, measured")
        axes.set_ylabel(f"error of its predicted {name} (%)")
        plain_ticks(axes.xaxis)
    return (
        f"{row.label}: what the curves say of each measured piece of work",
        "Joules of pieces that shared a meter's window were divided by seconds, whatever their phase.",
    )


def _panels(figure: Figure, count: int, legend: Mapping[str, str], dots: bool = False) -> list[Axes]:
    """Panels beside each other with axes of their own, under one legend."""
    from matplotlib.lines import Line2D

    figure.set_size_inches(10.6, 4.0)
    style: dict[str, Any] = (
        {"marker": "o", "linestyle": "none", "markersize": 5} if dots else {"linewidth": 2}
    )
    handles = [Line2D([], [], color=colour, **style) for colour in legend.values()]
    top_in = labels.legend_on_top(figure, handles, list(legend), 0.05, 2.0)
    width_in, height_in = figure.get_size_inches()
    each_in = (width_in - 0.1) / count
    return [
        figure.add_axes(
            (
                (place * each_in + 0.75) / width_in,
                0.55 / height_in,
                (each_in - 0.9) / width_in,
                (height_in - top_in - 0.65) / height_in,
            )
        )
        for place in range(count)
    ]


def _paired(row: Row, value_of: Callable[[Ledger], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """A figure of the queries that both runs served, where both are above 0."""
    _, ours, theirs = np.intersect1d(row.measured.served, row.simulated.served, return_indices=True)
    measured, simulated = value_of(row.measured.ledger)[ours], value_of(row.simulated.ledger)[theirs]
    both = (measured > 0) & (simulated > 0)
    return measured[both], simulated[both]


def _colour(number: int) -> str:
    """Of a row: the policy's is dark."""
    if not number:
        return POLICY
    return DEPLOYMENTS[number - 1] if number <= len(DEPLOYMENTS) else OTHERS
