"""Plots of joules: against accuracy, and by deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsim.report import figures, labels
from llmsim.report.figures import ENERGY, Ladder, Scale
from llmsim.report.folding import folded
from llmsim.report.palette import IDLE, POLICY, Palette, single_model
from llmsim.report.sheet import Row, policy_label
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

Point = tuple[float, float]


def trade_off(figure: Figure, summary: Row, palette: Palette) -> tuple[str, str] | None:
    """Active energy of a served query against accuracy, one point a row; None for fewer than two points.

    Returns:
        Title and caption.
    """
    rows = {policy_label(summary): summary, **summary.get("baselines", {})}
    points = {label: point for label, row in rows.items() if (point := _point(row)) is not None}
    if policy_label(summary) not in points or len(points) < 2:
        return None
    scale = unit_of([y for _, y in points.values()], ENERGY)
    points = {label: (x, y / scale.factor) for label, (x, y) in points.items()}
    axes = figure.add_axes((0.085, 0.125, 0.89, 0.755))
    singles = [points[label] for label in points if single_model(label, palette.deployments)]
    front = cheapest(singles)
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), color="#9AA1AB", linewidth=1.2, dashes=(4, 2), zorder=1)
    for label, (x, y) in points.items():
        best = label == policy_label(summary)
        axes.plot(
            [x], [y], "D" if best else "o", color=palette.strokes[label].colour,
            markersize=9 if best else 7, markeredgecolor="white", zorder=4 if best else 3,
        )  # fmt: skip
    _frame(axes, list(points.values()))
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.set_xlabel("accuracy (%, token-weighted)")
    axes.set_ylabel(f"active energy per served query ({scale.unit})")
    names = [single_model(label, palette.deployments) or label for label in points]
    labels.place(axes, list(points.values()), names, line=front, size=8.5 if len(names) < 12 else 7.5)
    caption = "Further right is better, lower is cheaper."
    if singles:
        caption += " A point named after a deployment is the run that sends every query there."
    if len(front) > 1:
        caption += " The dashed line joins those that are the cheapest at their accuracy."
    return _trade_off_title(summary), caption


def by_deployment(figure: Figure, summary: Row, palette: Palette) -> tuple[str, str] | None:
    """Active energy of every row, stacked by deployment, beside its idle energy on a scale of its own."""
    rows = {policy_label(summary): summary, **summary.get("baselines", {})}
    known = {label: row for label, row in rows.items() if row.get("energy_active_j") is not None}
    if not known:
        return None
    names = [folded(label) for label in known]
    figure.set_figheight(1.45 + labels.row_in(names, 0.34) * len(known))
    start = 0.02 + (labels.text_width_in(names) + 0.1) / figure.get_figwidth()
    swatches = [_swatch(palette.colour(name)) for name in palette.shown]
    top = labels.legend_on_top(figure, swatches, palette.shown, start)
    bottom, height = 0.62 / figure.get_figheight(), 1 - (top + 0.72) / figure.get_figheight()
    left = figure.add_axes((start, bottom, 0.70 - start, height))
    right = figure.add_axes((0.755, bottom, 0.22, height))
    active, idle = ([row.get(key) for row in known.values()] for key in ("energy_active_j", "energy_idle_j"))
    scales = unit_of(active, ENERGY), unit_of(idle, ENERGY)
    for y, row in enumerate(known.values()):
        _stack(left, y, row, palette, scales[0])
        if row.get("energy_idle_j") is not None:
            right.barh(y, row["energy_idle_j"] / scales[1].factor, height=0.62, color=IDLE)
    for axes, values, scale in ((left, active, scales[0]), (right, idle, scales[1])):
        _bars(axes, values, scale)
    left.set_yticks(range(len(known)), names)
    left.get_yticklabels()[0].set_fontweight("bold")
    right.set_yticks([])
    left.set_xlabel(f"active energy ({scales[0].unit})")
    right.set_xlabel(f"idle energy ({scales[1].unit})")
    return _deployment_title(summary), "Active and idle energy have scales of their own."


def unit_of(values: list[float | None] | list[float], ladder: Ladder) -> Scale:
    """The unit in which the largest of `values` has one to three digits before the point."""
    most = max((abs(value) for value in values if value is not None), default=0.0)
    fitting = [rung for rung in ladder if most >= rung[0]] or [rung for rung in ladder if rung[0] == 1.0]
    return Scale(fitting[-1][0], fitting[-1][1], 1)


def cheapest(points: list[Point]) -> list[Point]:
    """The points that no other beats at once in accuracy (first, more is better) and energy (less is)."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (-p[0], p[1])):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept[::-1]


def _point(row: Row) -> Point | None:
    accuracy, active, served = (row.get(key) for key in ("accuracy_pct", "energy_active_j", "served"))
    if accuracy is None or active is None or not served:
        return None
    return float(accuracy), float(active) / float(served)


def _frame(axes: Axes, points: list[Point]) -> None:
    """Limits with room for labels; energy from zero, unless it spans more than thirtyfold."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    room = max(max(xs) - min(xs), 0.5)
    axes.set_xlim(min(xs) - 0.10 * room, max(xs) + 0.12 * room)
    if min(ys) > 0 and max(ys) / min(ys) > 30:
        axes.set_yscale("log")
        axes.set_ylim(min(ys) / 1.6, max(ys) * 1.6)
    else:
        axes.set_ylim(0, max(ys) * 1.12 or 1.0)


def _stack(axes: Axes, y: int, row: Row, palette: Palette, scale: Scale) -> None:
    sums = dict.fromkeys(palette.shown, 0.0)
    for name, part in row.get("deployments", {}).items():
        sums[palette.group(name)] += part.get("energy_active_j") or 0.0
    reached = 0.0
    for name, joules in sums.items():
        width = joules / scale.factor
        axes.barh(y, width, left=reached, height=0.62, color=palette.colour(name))
        reached += width


def _bars(axes: Axes, values: list[float | None], scale: Scale) -> None:
    """Numbers at the bars' ends, the first row on top, room for the numbers."""
    most = max((value for value in values if value is not None), default=0.0) / scale.factor
    axes.set_xlim(0, 1.24 * most or 1.0)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    for y, value in enumerate(values):
        text = figures.ABSENT if value is None else figures.number(value / scale.factor, 3)
        weight = "bold" if y == 0 else "normal"
        x = (value or 0.0) / scale.factor + 0.02 * most
        axes.text(x, y, text, va="center", fontsize=8.5, fontweight=weight, color=POLICY)


def _swatch(colour: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour)


def _trade_off_title(summary: Row) -> str:
    against = nearest(summary)
    if against is None:
        return "Active energy against accuracy"
    label, row = against
    saving = row["saving_active_pct"]
    change = f"{figures.percent(abs(saving))} {'less' if saving >= 0 else 'more'} active energy"
    text = f"{policy_label(summary)} uses {change} than {label}"
    mine, other = summary.get("accuracy_pct"), row.get("accuracy_pct")
    if mine is None or other is None:
        return text
    points = mine - other
    if abs(points) < 0.05:
        return f"{text} at the same accuracy"
    return f"{text}, at {abs(points):.1f} points {'more' if points > 0 else 'less'} accuracy"


def nearest(summary: Row) -> tuple[str, Row] | None:
    """The baseline that keeps the same bounds and comes nearest in active energy; None when none does."""
    fair = [
        (row["saving_active_pct"], label, row)
        for label, row in summary.get("baselines", {}).items()
        if row.get("saving_active_pct") is not None and row.get("keeps_bounds", True)
    ]
    if not fair:
        return None
    _, label, row = min(fair, key=lambda entry: entry[0])
    return label, row


def _deployment_title(summary: Row) -> str:
    active = summary.get("energy_active_j")
    parts = {k: v.get("energy_active_j") or 0.0 for k, v in summary.get("deployments", {}).items()}
    if not active or not parts:
        return "Active energy by deployment, and idle energy"
    top = max(parts, key=lambda name: parts[name])
    part = figures.percent(100 * parts[top] / active)
    text = f"{policy_label(summary)}: {part} of the active energy is {top}"
    idle, total = summary.get("energy_idle_j"), summary.get("energy_j")
    return f"{text}; {figures.percent(100 * idle / total)} of the total is idle" if idle and total else text
