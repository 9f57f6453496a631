"""Plots of queries: where they go, how long they take, and what runs when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmsim.report import figures, labels, series
from llmsim.report.charts_energy import unit_of
from llmsim.report.figures import POWER
from llmsim.report.folding import folded
from llmsim.report.palette import Palette
from llmsim.report.sheet import Row, policy_label
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from llmsim.report.series import F, Served

SAMPLE = 10_000
"""About how many queries are drawn as points."""
BINS = 240
REFUSED_COLOUR = "#B9BEC6"


def placement(figure: Figure, summary: Row, served: Served, palette: Palette) -> tuple[str, str] | None:
    """Every query by its prompt and generated tokens, coloured by the deployment that it went to."""
    if not len(served.deployment):
        return None
    groups = _groups(served, palette)
    total = sum(len(index) for index in groups.values())
    legend = [
        (_marker(palette.colour(name), "o"), f"{folded(name)}\n{_part(len(groups[name]), total)}")
        for name in palette.shown
        if name in groups
    ]
    refused = np.flatnonzero(served.deployment == series.REFUSED)
    if len(refused):
        legend.append((_marker(REFUSED_COLOUR, "x"), f"refused\n{figures.count(len(refused))}"))
    axes = beside_legend(figure, [text for _, text in legend])
    axes.set_xscale("log")
    axes.set_yscale("log")
    _dots(axes, served, refused, (REFUSED_COLOUR, "x"))
    largest_first = sorted(groups, key=lambda name: -len(groups[name]))
    for name in largest_first:
        _dots(axes, served, groups[name], (palette.colour(name), "o"))
    axes.set_xlabel("prompt tokens")
    axes.set_ylabel("generated tokens")
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    figure.legend(
        *zip(*legend, strict=True), loc="upper left", bbox_to_anchor=legend_at(axes), labelspacing=0.9,
        handlelength=1.0, borderpad=0,
    )  # fmt: skip
    caption = "Each dot is a query; deployments with few queries are drawn larger and on top."
    if len(served.deployment) > SAMPLE:
        caption += f" About {figures.count(SAMPLE)} of the queries are drawn, evenly spaced in their order."
    if not total:
        return f"{policy_label(summary)}: every query is refused", caption
    top = largest_first[0]
    part = figures.percent(100 * len(groups[top]) / total)
    return f"{policy_label(summary)}: {part} of the served queries go to {top}", caption


def latency(figure: Figure, summary: Row, tails: Mapping[str, F], palette: Palette) -> tuple[str, str] | None:
    """Part of the served queries that ended within a time, for every policy."""
    tails = {label: values for label, values in tails.items() if len(values) and values[-1] > 0}
    first = policy_label(summary)
    if first not in tails:
        return None
    names = [folded(label) for label in tails]
    axes = beside_legend(figure, names, 0.28)
    axes.set_xscale("log")
    least = min(float(values[values > 0][0]) for values in tails.values())
    # Baselines over the policy's broad line: where they coincide, both are seen.
    for label, values in tails.items():
        stroke, best = palette.strokes[label], label == first
        value, part = series.thinned(values, 300)
        axes.plot(
            np.maximum(value, least), 100 * part, color=stroke.colour,
            linewidth=4.0 if best else 1.5, alpha=0.85 if best else 1.0, zorder=2 if best else 3,
            dashes=stroke.dashes or (None, None),
        )  # fmt: skip
    axes.set_ylim(0, 101)
    axes.set_xlabel("latency, from arrival to the last token (s)")
    axes.set_ylabel("served queries that ended (%)")
    plain_ticks(axes.xaxis)
    figure.legend(
        axes.get_lines(), names, loc="upper left", bbox_to_anchor=legend_at(axes), borderpad=0,
        handlelength=2.4,
    )  # fmt: skip
    spread = summary.get("latency_s") or {}
    title = (
        f"{first}: half of the queries end within {figures.quantity(spread.get('p50'), figures.TIME, 3)}, "
        f"99 % within {figures.quantity(spread.get('p99'), figures.TIME, 3)}"
    )
    return title, "Distribution of latency; the axis of time is logarithmic."


def over_time(figure: Figure, summary: Row, served: Served, palette: Palette) -> tuple[str, str] | None:
    """Busy instances, active power and, where any wait, waiting queries of every deployment, stacked."""
    groups = _groups(served, palette)
    running = {n: i[np.isfinite(served.end_s[i]) & np.isfinite(served.start_s[i])] for n, i in groups.items()}
    running = {name: running[name] for name in palette.shown if len(running.get(name, ()))}
    last = max((float(served.end_s[index].max()) for index in running.values()), default=0.0)
    if last <= 0:
        return None
    edges = np.linspace(0.0, last, BINS + 1)
    took = served.end_s - served.start_s
    watts = np.divide(served.energy_j, took, out=np.zeros_like(took), where=took > 0)
    ones = np.ones_like(took)

    def levels(since_s: F, until_s: F, rate: F) -> list[F]:
        """Mean of the summed rates in each bin, a row a deployment, shape (bins,)."""
        return [series.mean_level(since_s[i], until_s[i], rate[i], edges) for i in running.values()]

    power_w = levels(served.start_s, served.end_s, np.nan_to_num(watts))
    scale = unit_of([float(np.sum(power_w, axis=0).max())], POWER)
    panels = {
        "queries in service": levels(served.start_s, served.end_s, ones),
        f"active power ({scale.unit})": [level / scale.factor for level in power_w],
        "waiting queries": levels(served.arrival_s, served.start_s, ones),
    }
    if not any(level.any() for level in panels["waiting queries"]):
        del panels["waiting queries"]
    middle = (edges[:-1] + edges[1:]) / 2
    stacked_panels(figure, panels, middle, [(name, palette.colour(name)) for name in running])
    return _busy_title(summary, served), f"Means over {edges[1]:.3g} s. Idle power is not in it."


def stacked_panels(
    figure: Figure, panels: Mapping[str, Sequence[F]], time_s: F, names: Sequence[tuple[str, str]]
) -> None:
    """Panels over one another that share their time, each a stack of levels, under a legend.

    Args:
        panels: label of the axis to a level for each name.
        names: name and colour of each level.
    """
    from matplotlib.patches import Patch

    figure.set_figheight(figure.get_figheight() + 1.5 * (len(panels) - 2))
    colours = [colour for _, colour in names]
    patches = [Patch(facecolor=colour) for colour in colours]
    top = labels.legend_on_top(figure, patches, [name for name, _ in names], 0.08)
    height, gap = figure.get_figheight(), 0.35
    panel = (height - top - 0.53 - gap * (len(panels) - 1)) / len(panels)
    above: Axes | None = None
    for place, (label, levels) in enumerate(panels.items()):
        bottom = height - top - panel - place * (panel + gap)
        axes = figure.add_axes((0.085, bottom / height, 0.89, panel / height), sharex=above)
        axes.stackplot(time_s, levels, colors=colours, linewidth=0)
        axes.set_ylabel(label)
        axes.set_xlim(0.0, float(time_s[-1] + time_s[0]))
        axes.set_ylim(bottom=0)
        axes.margins(y=0.08)
        axes.tick_params(labelbottom=place == len(panels) - 1)
        plain_ticks(axes.yaxis)
        above = above or axes
    axes.set_xlabel("time since the start of the trace (s)")
    plain_ticks(axes.xaxis)


def beside_legend(figure: Figure, names: Sequence[str], handle_in: float = 0.0) -> Axes:
    """Axes that leave room on their right for a legend of `names`, with long handles for lines."""
    room = (labels.text_width_in(names) + handle_in + 0.5) / figure.get_figwidth()
    return figure.add_axes((0.085, 0.125, 0.90 - room, 0.755))


def legend_at(axes: Axes) -> tuple[float, float]:
    """Where such a legend begins: its upper left corner."""
    return axes.get_position().x1 + 0.015, 0.885


def _groups(served: Served, palette: Palette) -> dict[str, series.I]:
    """Indices of the queries of each drawn deployment, those without a colour together."""
    found: dict[str, list[series.I]] = {}
    for d, name in enumerate(served.names):
        index = np.flatnonzero(served.deployment == d)
        if len(index):
            found.setdefault(palette.group(name), []).append(index)
    return {name: np.sort(np.concatenate(parts)) for name, parts in found.items()}


def _dots(axes: Axes, served: Served, index: series.I, look: tuple[str, str]) -> None:
    rare = len(index) <= 30
    drawn = series.every(index, max(200, SAMPLE * len(index) // max(1, len(served.deployment))))
    colour, marker = look
    size = 7 if len(served.deployment) > 3000 else 16
    axes.scatter(
        np.maximum(served.tau_in[drawn], 1), np.maximum(served.tau_out[drawn], 1),
        s=46 if rare and marker == "o" else size, c=colour, marker=marker, alpha=1.0 if rare else 0.55,
        linewidths=0.8 if rare or marker == "x" else 0, edgecolors=None if marker == "x" else "white",
        rasterized=True,
    )  # fmt: skip


def _marker(colour: str, marker: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=6)


def _part(size: int, total: int) -> str:
    return f"{figures.count(size)} ({figures.Scale(1.0, '%', 1).text(100 * size / total)} %)"


def _busy_title(summary: Row, served: Served) -> str:
    ran = np.isfinite(served.end_s) & np.isfinite(served.start_s)
    most = figures.count(series.peak(served.start_s[ran], served.end_s[ran]))
    sizes = [part.get("instances") for part in summary.get("deployments", {}).values()]
    text = f"{policy_label(summary)}: at most {most} queries run at once"
    return text if not sizes or None in sizes else f"{text} on {figures.count(sum(sizes))} instances"
