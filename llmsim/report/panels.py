"""Plots of lines side by side that share one legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmsim.report import labels
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches: what axis labels take to the left of and under a panel, and what is left free at the edges.
LEFT_IN, UNDER_IN, EDGE_IN = 0.72, 0.55, 0.12
MARKER_SIZE = 4.0
HANDLE = 2.6  # length of a line in the legend, in font sizes
LINEAR_TO = 0.01  # a `symlog` axis is linear up to here


@dataclass(frozen=True)
class Line:
    """A line, or one level where it has a single point.

    Attributes:
        name: in the legend; lines of one name in several panels share their entry.
        x, y: its points; a level has no x.
        band: least and most at each x, drawn as a band around it; empty for none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: tuple[float, ...] = ()
    band: tuple[Sequence[float], Sequence[float]] | tuple[()] = ()


@dataclass(frozen=True)
class Panel:
    """Lines on one pair of axes.

    Attributes:
        scales: of x and y: ``linear``, ``log``, or ``symlog`` (from 0, logarithmic but for the least).
    """

    x_label: str
    y_label: str
    lines: Sequence[Line]
    scales: tuple[str, str] = ("linear", "linear")
    title: str = ""


def draw_panels(figure: Figure, panels: Sequence[Panel]) -> None:
    """Draw panels beside each other under one legend."""
    from matplotlib.lines import Line2D

    shown: dict[str, Line] = {}
    for panel in panels:
        for line in panel.lines:
            shown.setdefault(line.name, line)
    handles = [
        Line2D([], [], color=line.colour, linewidth=1.8, dashes=line.dashes) for line in shown.values()
    ]
    top_in = labels.legend_on_top(figure, handles, list(shown), 0.01, HANDLE)
    width_in, height_in = figure.get_size_inches()
    if any(panel.title for panel in panels):
        top_in += 0.22
    each_in = (width_in - EDGE_IN) / len(panels)
    for place, panel in enumerate(panels):
        axes = figure.add_axes(
            (
                (place * each_in + LEFT_IN) / width_in,
                UNDER_IN / height_in,
                (each_in - LEFT_IN - EDGE_IN) / width_in,
                (height_in - UNDER_IN - top_in - EDGE_IN) / height_in,
            )
        )
        _draw(axes, panel)


def _draw(axes: Axes, panel: Panel) -> None:
    for scale, set_scale in zip(panel.scales, (axes.set_xscale, axes.set_yscale), strict=True):
        set_scale(scale, **({"linthresh": LINEAR_TO} if scale == "symlog" else {}))
    for line in panel.lines:
        if not line.x:
            axes.axhline(line.y[0], color=line.colour, linewidth=1.3, dashes=line.dashes, zorder=1)
            continue
        axes.plot(
            line.x, line.y, color=line.colour, linewidth=1.8, dashes=line.dashes, zorder=3,
            marker="o", markersize=MARKER_SIZE, markeredgewidth=0,
        )  # fmt: skip
        if line.band:
            axes.fill_between(line.x, *line.band, color=line.colour, alpha=0.14, linewidth=0, zorder=2)
    for scale, axis in zip(panel.scales, (axes.xaxis, axes.yaxis), strict=True):
        if scale == "symlog":  # nothing is below 0
            high = axis.get_view_interval()[1]
            axis.set_view_interval(-LINEAR_TO / 10, max(high, LINEAR_TO), ignore=True)
        if scale != "linear":
            plain_ticks(axis)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    if panel.title:
        axes.set_title(panel.title, fontsize=9.5)
