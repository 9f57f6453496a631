"""Plots of service: times of each deployment, and the fleet over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from llmsim.report import figures, labels, series
from llmsim.report.charts_energy import unit_of
from llmsim.report.charts_queries import stacked_panels
from llmsim.report.figures import POWER, TIME
from llmsim.report.palette import BASELINE, Palette
from llmsim.report.sheet import Row, policy_label
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from llmsim.report.series import F, Served

POINTS = 300
"""About how many points a line has."""
FEW = 10
"""Fewer queries than this are marked one by one."""


def times_by_deployment(
    figure: Figure, summary: Row, served: Served, palette: Palette
) -> tuple[str, str] | None:
    """Part of each deployment's queries done within a time: latency, and where phases are known, tokens."""
    from matplotlib.lines import Line2D

    deployments = summary.get("deployments", {})
    phased = any(part.get("kv_cache") for part in deployments.values())
    kinds = _seconds(served, phased)
    shown = [name for name in palette.shown if name in served.names]
    columns = {
        kind: {name: _sorted(values, served, name) for name in shown} for kind, values in kinds.items()
    }
    shown = [name for name in shown if len(columns["latency"][name])]
    if not shown:
        return None
    slo = summary.get("slo") or {}
    asked = {
        "first token": slo.get("ttft_s"),
        "a later token": slo.get("tpot_s"),
        "latency": slo.get("latency_s"),
    }
    lines = [Line2D([], [], color=palette.colour(name), linewidth=2) for name in shown]
    top = labels.legend_on_top(figure, lines, shown, 0.08)
    height, each = figure.get_figheight(), 0.905 / len(kinds)
    for place, (kind, found) in enumerate(columns.items()):
        box = (0.085 + place * each, 0.53 / height, each - 0.025, (height - top - 0.53 - 0.05) / height)
        axes = figure.add_axes(box)
        _draw_distributions(axes, {name: found[name] for name in shown}, palette, asked[kind])
        axes.set_xlabel(f"{kind} (s)")
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel("queries done within it (%)")
    p99_s = {name: float(np.percentile(columns["latency"][name], 99)) for name in shown}
    slowest = max(shown, key=p99_s.__getitem__)
    title = (
        f"{policy_label(summary)}: 99 % of the queries on {slowest}, the slowest, "
        f"end within {figures.quantity(p99_s[slowest], TIME, 3)}"
    )
    caption = "Distributions by deployment, from arrival; the axes of time are logarithmic."
    if any(asked[kind] is not None for kind in kinds):
        caption += " Dashed: what slo asks."
    return title, caption


def _seconds(served: Served, phased: bool) -> dict[str, F]:
    """Seconds of each query, each of shape (n,): in all and, where phases are known, of its tokens."""
    latency = {"latency": served.end_s - served.arrival_s}
    if not phased:
        return latency
    steps = np.maximum(served.tau_out - 1, 1)
    spent = np.where(served.tau_out > 1, (served.end_s - served.first_token_s) / steps, np.nan)
    return {"first token": served.first_token_s - served.arrival_s, "a later token": spent, **latency}


def _draw_distributions(axes: Axes, values: Mapping[str, F], palette: Palette, most_s: float | None) -> None:
    """Part of the queries within a time, percent, a line a deployment; dashed, the most that slo allows."""
    for name, found in values.items():
        if len(found):
            value, part = series.thinned(found, POINTS)
            marker = "o" if len(value) < FEW else ""
            axes.plot(value, 100 * part, color=palette.colour(name), linewidth=2, marker=marker)
    axes.set_xscale("log")
    if most_s is not None:
        axes.axvline(most_s, color=BASELINE, linewidth=1.2, dashes=(4, 2))
    axes.set_ylim(0, 101)
    plain_ticks(axes.xaxis)


def timeline(figure: Figure, summary: Row, table: pa.Table, palette: Palette) -> tuple[str, str] | None:
    """Power with idle instances, waiting queries and queries in service of each deployment over time.

    Args:
        table: of ``series.parquet``.
    """
    found = series.by_deployment(table, ("time_s", "power_w", "waiting", "serving"))
    if not found or len(next(iter(found.values()))["time_s"]) < 2:
        return None
    time_s = next(iter(found.values()))["time_s"]
    names = list(dict.fromkeys(palette.group(name) for name in found))

    def levels(key: str) -> list[F]:
        """A figure over time, summed over the deployments of each group."""
        return [
            np.sum([part[key] for name, part in found.items() if palette.group(name) == group], axis=0)
            for group in names
        ]

    power_w = levels("power_w")
    known = all(np.isfinite(level).all() for level in power_w)
    most = float(np.sum(power_w, axis=0).max()) if known else None
    scale = unit_of([most], POWER)
    panels = {f"power ({scale.unit})": [level / scale.factor for level in power_w]} if known else {}
    panels |= {"queries in service": levels("serving"), "waiting queries": levels("waiting")}
    some_wait = any(level.any() for level in panels["waiting queries"])
    if not some_wait:
        del panels["waiting queries"]
    step_s = float(time_s[1] - time_s[0])
    middle = time_s - time_s[0] + step_s / 2
    stacked_panels(figure, panels, middle, [(name, palette.colour(name)) for name in names])
    peak = f" draws at most {figures.power(most)}" if most is not None else " over time"
    caption = f"Means over {step_s:.4g} s."
    if not some_wait:
        caption += " No query waits."
    if known:
        caption += " Power includes idle, waking and sleeping instances."
    return f"{policy_label(summary)}: the fleet{peak}", caption


def _sorted(values: F, served: Served, name: str) -> F:
    here = values[served.deployment == served.names.index(name)]
    return np.sort(here[np.isfinite(here) & (here > 0)])
