"""The frontier of energy against accuracy, as a plot and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.policies.frontier import Frontier
from llmsim.report import figures, labels
from llmsim.report.figures import ENERGY
from llmsim.report.grid import Grid
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows of the table, spread evenly over accuracy.
_ROWS = 11
# Corners of the line that labels keep clear of.
_CORNERS = 20
LINE, KNEE = "#2F6DB5", "#C8502D"


def chart(figure: Figure, points: Frontier, summary: Mapping[str, Any]) -> tuple[str, str]:
    """Energy against accuracy, the knee and each single deployment named; title and caption."""
    singles = summary["single"]
    scale = figures.common_scale([*points.energy_j[[0, -1]].tolist()], ENERGY)
    axes = figure.add_axes((0.085, 0.125, 0.89, 0.755))
    energy = points.energy_j / scale.factor
    axes.plot(points.accuracy_pct, energy, color=LINE, linewidth=1.8, zorder=2)
    marked = [(float(points.accuracy_pct[points.knee]), float(energy[points.knee]))]
    axes.plot(*zip(*marked, strict=True), "D", color=KNEE, markersize=9, markeredgecolor="white", zorder=4)
    names = ["knee"]
    for name, single in singles.items():
        marked.append((single["accuracy_pct"], single["energy_j"] / scale.factor))
        names.append(name)
    if singles:
        axes.plot(
            *zip(*marked[1:], strict=True), "o", color=LINE, markersize=7, markeredgecolor="white", zorder=3
        )
    axes.margins(0.08, 0.1)
    axes.set_xlabel("accuracy (%, token-weighted)")
    axes.set_ylabel(f"predicted active energy ({scale.unit})")
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # final, as placing labels needs them
    corners = np.linspace(0, len(energy) - 1, _CORNERS).astype(int)
    line = list(zip(points.accuracy_pct[corners].tolist(), energy[corners].tolist(), strict=True))
    labels.place(axes, marked, names, line=line, size=8.5)
    caption = "No plan is below the line. A point named after a deployment sends every query there."
    return f"{summary['workload']['name']}: what accuracy costs in energy", caption


def table(points: Frontier, names: Sequence[str], summary: Mapping[str, Any]) -> Grid:
    """Some of the points, from least energy to greatest accuracy."""
    bracket = summary["bracket"]
    known = "every breakpoint" if bracket == 0 else f"bracketed within {bracket:.1e} of its energy"
    title = f"Frontier of {summary['workload']['name']}: {figures.count(summary['points'])} points, {known}"
    rows: list[Sequence[str]] = []
    accuracy = points.accuracy_pct
    wanted = np.searchsorted(accuracy, np.linspace(accuracy[0], accuracy[-1], _ROWS))
    for row in sorted({0, len(accuracy) - 1, points.knee, *np.minimum(wanted, len(accuracy) - 1).tolist()}):
        mark = "knee" if row == points.knee else ""
        rows.append(
            (
                mark,
                figures.energy(float(points.energy_j[row])),
                figures.number(float(accuracy[row])),
                figures.energy(float(points.price_j[row])) if row else "",
                *(figures.count(count) for count in points.queries[row].tolist()),
            )
        )
    return Grid(title, ("", "energy", "accuracy, %", "energy for 1 % more", *names), rows)
