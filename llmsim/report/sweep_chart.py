"""The runs of a sweep: energy against accuracy and against latency, the best trade-offs marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmsim.report import labels
from llmsim.report.figures import ENERGY, TIME, Scale, common_scale
from llmsim.report.plots import Plot, draw_charts
from llmsim.report.ticks import plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More points than this are not named one by one.
_MOST_NAMED = 14
OTHERS, BEST = "#9AA1AB", "#0072B2"


@dataclass(frozen=True)
class RunPoint:
    """Where a run stands.

    Attributes:
        run: its number.
        label: its name beside its point.
        energy_j: active energy of a served query.
        accuracy_pct: None where it is not known.
        latency_s: the 99th percentile.
    """

    run: int
    label: str
    energy_j: float
    accuracy_pct: float | None
    latency_s: float

    def beats(self, other: RunPoint) -> bool:
        """Whether this run is nowhere worse than the other, and somewhere better."""
        ours, theirs = self._costs(), other._costs()
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))

    def _costs(self) -> tuple[float, float, float]:
        return self.energy_j, -(self.accuracy_pct or 0.0), self.latency_s


def pareto(points: Sequence[RunPoint]) -> list[RunPoint]:
    """The runs that no other beats in energy, accuracy and latency together."""
    return [point for point in points if not any(other.beats(point) for other in points)]


def draw_sweep(points: Sequence[RunPoint], folder: Path) -> list[Plot]:
    """Draw the runs; nothing for fewer than two."""
    if len(points) < 2:
        return []
    return draw_charts({"trade_off": lambda figure: _trade_off(figure, points)}, folder)


def _trade_off(figure: Figure, points: Sequence[RunPoint]) -> tuple[str, str]:
    scale = common_scale([point.energy_j for point in points], ENERGY)
    time = common_scale([point.latency_s for point in points], TIME)
    best = pareto(points)
    scored = [(float(point.accuracy_pct), point) for point in points if point.accuracy_pct is not None]
    width = 0.41 if scored else 0.89
    axes = figure.add_axes((0.975 - width, 0.125, width, 0.755))
    _scatter(axes, [(point.latency_s / time.factor, point) for point in points], best, scale)
    axes.set_xlabel(f"latency, 99th percentile ({time.unit})")
    if scored:
        axes = figure.add_axes((0.085, 0.125, width, 0.755))
        _scatter(axes, scored, best, scale)
        axes.set_xlabel("accuracy (%, token-weighted)")
    axes.set_ylabel(f"active energy per served query ({scale.unit})")
    caption = (
        f"Blue diamonds: the {len(best)} runs that no other beats in energy, accuracy and latency together. "
        "Lower is cheaper; right is more accurate on the left, slower on the right."
    )
    return f"{len(points)} runs: what accuracy and time cost in energy", caption


def _scatter(
    axes: Axes, placed: Sequence[tuple[float, RunPoint]], best: Sequence[RunPoint], scale: Scale
) -> None:
    numbers = {point.run for point in best}
    for front in (False, True):  # one line of points each: a thousand lines of one point take seconds
        alike = [(x, point.energy_j / scale.factor) for x, point in placed if (point.run in numbers) == front]
        xs, ys = [x for x, _ in alike], [y for _, y in alike]
        axes.plot(
            xs, ys, "D" if front else "o", color=BEST if front else OTHERS,
            markersize=7 if front else 5, markeredgecolor="white", zorder=4 if front else 3,
        )  # fmt: skip
    axes.margins(0.12, 0.12)
    energies = [point.energy_j for _, point in placed]
    if min(energies) > 0 and max(energies) / min(energies) > 30:
        axes.set_yscale("log")
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # final, as placing labels needs them
    named = placed if len(placed) <= _MOST_NAMED else [item for item in placed if item[1].run in numbers]
    if len(named) <= _MOST_NAMED:
        at = [(x, point.energy_j / scale.factor) for x, point in named]
        labels.place(axes, at, [point.label for _, point in named], size=7.5)
