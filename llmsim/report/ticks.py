"""Ticks of axes: plain numbers that never stand on each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.report.labels import LINE

if TYPE_CHECKING:
    from matplotlib.axis import Axis

# Steps of a decade, the densest first.
STEPS = ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), (1.0, 2.0, 5.0), (1.0,))
MOST = 9  # ticks on an axis
FEW = 3  # with fewer of a decade's steps, a short axis has even steps
EVEN = 5  # even steps on an axis, at most
DIGIT, POINT = 0.64, 0.33  # widths over the size of the type, of the face that matplotlib ships
SLACK = 1e-9  # a tick at the very end of an axis is on it
GAP = 0.8  # between two labels, over the size of the type


def plain_ticks(axis: Axis) -> None:
    """Whole numbers and decimals on an axis instead of powers of ten; those that have room beside each other.

    A logarithmic one has the densest of a decade's steps whose labels have room, or even steps where it is
    too short for those. Limits and size may still change: ticks are chosen when it is drawn.
    """
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties
    from matplotlib.ticker import (
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
        SymmetricalLogLocator,
    )

    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    scale = axis.get_scale()
    upright = axis is axis.axes.yaxis
    size = FontProperties(size=rcParams["ytick.labelsize" if upright else "xtick.labelsize"])
    size_pt = size.get_size_in_points()

    class Even(MaxNLocator):
        """Where the ticks of a linear axis are."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            low, high = min(vmin, vmax), max(vmin, vmax)
            have_room = _room(axis, low, high, size_pt)
            return np.array(next(filter(have_room, _even(low, high, MOST)), [low]))

    class Log(LogLocator):
        """Where the ticks of a logarithmic axis are."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            return np.array(_chosen(axis, min(vmin, vmax), max(vmin, vmax), size_pt))

    class Between(LogLocator):
        """Marks without numbers."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            return np.array(_steps(STEPS[1], min(vmin, vmax), max(vmin, vmax)))

    class SymmetricalLog(SymmetricalLogLocator):
        """The same of an axis that is linear up to a threshold."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            return np.array(_chosen(axis, min(vmin, vmax), max(vmin, vmax), size_pt))

    if scale == "linear":
        axis.set_major_locator(Even())
        return
    if scale == "log":
        axis.set_major_locator(Log())
        axis.set_minor_locator(Between())
    else:
        axis.set_major_locator(SymmetricalLog(axis.get_transform()))
        axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def label(value: float) -> str:
    """A tick's number."""
    text = f"{value:,.10g}"
    return "−" + text[1:] if text.startswith("-") else text


def _room(axis: Axis, least: float, most: float, size: float) -> Callable[[Sequence[float]], bool]:
    """Says whether ticks of an axis from `least` to `most` have room for labels of `size` points."""
    upright = axis is axis.axes.yaxis
    transform = axis.get_transform()
    low, high = (float(end) for end in transform.transform([least, most]))
    box = axis.axes.bbox
    length = (box.height if upright else box.width) * 72.0 / axis.axes.figure.dpi

    def have_room(ticks: Sequence[float]) -> bool:
        """Whether no two labels come nearer than the gap."""
        if len(ticks) < 2 or not high > low:
            return True
        at = [(float(x) - low) / (high - low) * length for x in transform.transform(list(ticks))]
        wide = [LINE * size if upright else _width(tick) * size for tick in ticks]
        pairs = zip(pairwise(at), pairwise(wide), strict=True)
        return all(b - a >= (u + v) / 2 + GAP * size for (a, b), (u, v) in pairs)

    return have_room


def _chosen(axis: Axis, least: float, most: float, size: float) -> list[float]:
    """The densest ticks of a logarithmic axis from `least` to `most` whose labels have room."""
    have_room = _room(axis, least, most, size)
    linear_to = getattr(axis.get_transform(), "linthresh", 0.0)
    found: list[float] = []
    for ticks in _by_decade(least, most, linear_to):
        if len(ticks) <= MOST and have_room(ticks):
            found = ticks
            break
    if len(found) < FEW and not linear_to and most / least < 10:
        for ticks in _even(least, most, EVEN):
            if len(ticks) > len(found) and have_room(ticks):
                return ticks
    return found


def _by_decade(low: float, high: float, linear_to: float) -> Iterator[list[float]]:
    """Steps of each decade from `low` to `high`, ever fewer; at last some powers of ten.

    Args:
        linear_to: where an axis from 0 becomes logarithmic; 0 for one that is so everywhere.
    """
    least = linear_to or low
    origin = [0.0] if linear_to and low <= 0 else []
    for steps in STEPS[2:] if linear_to else STEPS:
        yield origin + _steps(steps, least, high)
    for stride in range(2, 2 + round(math.log10(max(high / least, 1.0)))):
        yield origin + _steps((1.0,), least, high, stride)


def _steps(steps: Sequence[float], low: float, high: float, stride: int = 1) -> list[float]:
    """Steps of every decade from `low` to `high` whose power of ten `stride` divides."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(high, low)))
    powers = [power for power in range(first, last + 1) if power % stride == 0]
    values = [float(f"{step:g}e{power}") for power in powers for step in steps]
    return [value for value in values if low * (1 - SLACK) <= value <= high * (1 + SLACK)]


def _even(low: float, high: float, at_most: int) -> Iterator[list[float]]:
    """Even steps from `low` to `high`, ever fewer."""
    from matplotlib.ticker import MaxNLocator

    for most in range(at_most + 2, 0, -1):  # the ends take part of what the locator counts
        ticks = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        within = [float(tick) for tick in ticks if low <= tick <= high]
        if len(within) <= at_most:
            yield within


def _width(tick: float) -> float:
    """Of a tick's label, over the size of the type."""
    return sum(POINT if sign in ",." else DIGIT for sign in label(tick))
