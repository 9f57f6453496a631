"""Names where they can be read: beside points without covering them, and in legends that fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
Box = tuple[float, float, float, float]
LEADER = {"arrowstyle": "-", "color": "#8A919B", "linewidth": 0.6, "shrinkA": 1.0, "shrinkB": 4.0}

LEGEND_LINE_IN = 0.185
CHARACTER = 0.56
"""Mean width of a character over the size of the type, of the face that matplotlib ships."""
LINE = 1.35
"""Height of a line over the size of the type."""
NEAR = 7.0
"""Points nearer than this, in typographic points, share a label."""


def place(
    axes: Axes, points: Sequence[Point], names: Sequence[str], line: Sequence[Point] = (), size: float = 8.5
) -> None:
    """Write `names` beside `points` (data coordinates; limits and scales must be final).

    Labels are tried to the right, left, above and below, ever farther; the first place that is free and
    inside the axes is taken, and one that is far gets a thin line to its point.

    Args:
        line: corners of a line that labels should keep off, in data coordinates.
        size: of the type, in points.
    """
    at = _in_points(axes, points)
    frame, to_points = axes.get_window_extent(), 72.0 / axes.figure.dpi
    bounds = (frame.x0 * to_points, frame.y0 * to_points, frame.x1 * to_points, frame.y1 * to_points)
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    taken += [(x - 1, y - 1, x + 1, y + 1) for x, y in _along(_in_points(axes, line))]
    for together in _clusters(at):
        x, y = at[together[0]]
        width = CHARACTER * size * max(len(names[i]) for i in together)
        height = LINE * size * len(together)
        dx, dy = _free((x, y), (width, height), bounds, taken)
        taken.append((x + dx, y + dy, x + dx + width, y + dy + height))
        far = abs(dx + width / 2) > width / 2 + 14 or abs(dy + height / 2) > height / 2 + 14
        side = "left" if dx > 0 else "right" if dx + width < 0 else "center"
        axes.annotate(
            "\n".join(names[i] for i in together), points[together[0]],
            (dx + width * {"left": 0.0, "center": 0.5, "right": 1.0}[side], dy + height / 2),
            textcoords="offset points", ha=side, va="center", fontsize=size, linespacing=1.15,
            arrowprops=LEADER if far else None,
        )  # fmt: skip


def _in_points(axes: Axes, points: Sequence[Point]) -> list[Point]:
    """Data coordinates as typographic points from the figure's lower left corner."""
    to_points = 72.0 / axes.figure.dpi
    return (
        [(x * to_points, y * to_points) for x, y in axes.transData.transform(list(points))] if points else []
    )


def _along(corners: Sequence[Point]) -> list[Point]:
    """Points every few typographic points along a line."""
    found = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        steps = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 4))
        found += [(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(steps + 1)]
    return found


def _clusters(at: Sequence[Point]) -> list[list[int]]:
    """Indices of points by nearness to the first of each cluster, in order."""
    clusters: list[list[int]] = []
    for i, (x, y) in enumerate(at):
        for cluster in clusters:
            cx, cy = at[cluster[0]]
            if abs(x - cx) < NEAR and abs(y - cy) < NEAR:
                cluster.append(i)
                break
        else:
            clusters.append([i])
    return clusters


def legend_on_top(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], left: float, handle: float = 1.0
) -> float:
    """A legend under the figure's title, from `left` (a part of the width), or the edge if it needs more.

    The figure is made higher by what the legend needs beyond one line.

    Args:
        handle: length of a handle, in font sizes: dashes want more than patches.

    Returns:
        Inches from the figure's top to the legend's end.
    """
    each = (text_width_in(names) + 0.3 + 0.12 * handle) / figure.get_figwidth()
    if each * len(names) > 0.985 - left:
        left = 0.005
    columns = max(1, min(len(names), int((0.985 - left) / each)))
    lines = -(-len(names) // columns)
    figure.set_figheight(figure.get_figheight() + (lines - 1) * LEGEND_LINE_IN)
    figure.legend(
        handles, names, loc="upper left", bbox_to_anchor=(left, 1 - 0.36 / figure.get_figheight()),
        ncols=columns, borderpad=0, borderaxespad=0.3, handlelength=handle, columnspacing=1.4,
    )  # fmt: skip
    return 0.46 + lines * LEGEND_LINE_IN


def text_width_in(names: Iterable[str], size: float = 8.5) -> float:
    """About how wide the longest line of `names` is, in inches."""
    lines = (line for name in names for line in name.split("\n"))
    return max((len(line) for line in lines), default=0) * CHARACTER * size / 72


def row_in(names: Iterable[str], least: float, size: float = 8.5) -> float:
    """Height of a row beside which each of `names` has room, in inches: `least`, or more for many lines."""
    lines = max((name.count("\n") + 1 for name in names), default=1)
    return max(least, (lines + 0.4) * LINE * size / 72)


def _free(at: Point, size: Point, bounds: Box, taken: Sequence[Box]) -> Point:
    """Offset of a label's lower left corner from its point: the first free one, else the least bad."""
    (x, y), (width, height) = at, size
    best, least = (8.0, -height / 2), float("inf")
    for gap in (8.0, 12.0, 18.0, 26.0, 36.0, 50.0, 68.0, 90.0):
        for dx, dy in _around(gap, width, height):
            box = (x + dx, y + dy, x + dx + width, y + dy + height)
            covered = sum(_overlap(box, other) for other in taken) + 10 * _outside(box, bounds)
            if covered == 0:
                return dx, dy
            if covered < least:
                best, least = (dx, dy), covered
    return best


def _around(gap: float, width: float, height: float) -> list[Point]:
    """Offsets of a label at `gap` from its point: beside it, over it, under it, then at the corners."""
    right, left, middle = gap, -gap - width, -width / 2
    over, under, level = gap, -gap - height, -height / 2
    corners = [(x, y * part) for part in (0.5, 1.0) for y in (over, under) for x in (right, left)]
    shifted = [(middle + side * width / 4, y) for side in (1, -1) for y in (over, under)]
    return [(right, level), (left, level), (middle, over), (middle, under), *corners, *shifted]


def _overlap(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    up = min(a[3], b[3]) - max(a[1], b[1])
    return across * up if across > 0 and up > 0 else 0.0


def _outside(box: Box, bounds: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, bounds)
