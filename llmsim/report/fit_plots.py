"""Plots of fitted curves: measured against predicted, residuals, the curve over its grid, joules a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.library import FittedCurve
from llmsim.curves.query import FittedQueryCurve
from llmsim.curves.validate import LeftOut
from llmsim.report.plots import STYLE
from llmsim.report.ticks import plain_ticks
from llmsim.trials import Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
BLUE, GREY, RED = "#0072B2", "#9AA1AB", "#D55E00"
NOUNS = {
    "energy": ("energy", "J"),
    "runtime": ("runtime", "s"),
    "prefill": ("time of a prefill", "s"),
    "decode": ("time of a decode step", "s"),
    "prefill_energy": ("energy of a prefill", "J"),
    "decode_energy": ("energy of a decode step", "J"),
    "generation_prefill": ("prefill amid steps", "s"),
    "generation_energy": ("joules of both", "J"),
}
PANEL_IN = (3.9, 3.3)
PAD_IN = 0.1  # between labels and the figure's edge; twice that between labels and the next panel
CURVE_POINTS = 60  # along a drawn line


def draw(
    fitted: FittedCurve, rows: Mapping[str, Trials], folder: Path, suffixes: Sequence[str] = SUFFIXES
) -> list[Path]:
    """Draw one figure of a fitted curve.

    Args:
        fitted: fresh from `library.fit`, with its left-out predictions.
        rows: the trials behind each part, from `library.rows_behind`.
        folder: where to, made if need be.
        suffixes: of the files, each `.png` or `.svg`.

    Returns:
        The files.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    p = fitted.provenance
    name = fitted.name
    panels = dict(_panels(fitted, rows))
    shape = (len(panels), max(len(row) for row in panels.values()))
    upright = shape[0] > shape[1]  # wide figures are easier to read: phases go side by side
    shape = (shape[1], shape[0]) if upright else shape
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        figure = Figure(figsize=(PANEL_IN[0] * shape[1], PANEL_IN[1] * shape[0] + 0.5))
        figure.suptitle(f"{name}: {p['source']}, {p['n_trials']} trials", fontweight="bold", fontsize=10.5)
        axes = figure.subplots(*shape, squeeze=False, gridspec_kw=_margins(figure))
        for row, (part, drawers) in zip(axes.T if upright else axes, panels.items(), strict=True):
            for ax, drawer in zip(row, drawers, strict=True):
                drawer(ax, part)
                plain_ticks(ax.xaxis)
                plain_ticks(ax.yaxis)
        _make_room(figure, axes)
        return _save(figure, folder / name, suffixes)


def _margins(figure: Figure) -> dict[str, float]:
    """Room above and below the panels, in shares of the figure; across, `_make_room` finds it."""
    height = figure.get_figheight()
    return {"bottom": 0.5 / height, "top": 1 - 0.62 / height, "hspace": 0.36}


def _make_room(figure: Figure, axes: NDArray[np.object_]) -> None:
    """Move the panels across so that the labels left of each fit.

    The labels are measured once; automatic layouts draw everything several times.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)  # which matplotlib leaves without types
    renderer = canvas.get_renderer()

    def room_in(ax: Axes) -> float:
        """What the labels left of a panel take, inches."""
        labels = ax.yaxis.get_tightbbox(renderer)
        return 0.0 if labels is None else float(ax.get_window_extent().x0 - labels.x0) / figure.dpi

    rooms = np.array([[room_in(ax) for ax in row] for row in axes])
    left, gap = rooms[:, 0].max() + PAD_IN, rooms.max() + 2 * PAD_IN
    right, width, columns = 1.5 * PAD_IN, figure.get_figwidth(), axes.shape[1]
    panel = (width - left - right - (columns - 1) * gap) / columns
    figure.subplots_adjust(left=left / width, right=1 - right / width, wspace=gap / panel)


def _save(figure: Figure, stem: Path, suffixes: Sequence[str]) -> list[Path]:
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    paths = [stem.with_name(stem.name + suffix) for suffix in suffixes]
    for path in paths:
        figure.savefig(path, metadata=metadata[path.suffix])
    return paths


def _panels(fitted: FittedCurve, rows: Mapping[str, Trials]) -> Iterator[tuple[str, list[Any]]]:
    """Each part with what draws its row of panels."""
    for part in (name for name in NOUNS if name in fitted.left_out):
        out, kept = fitted.left_out[part], rows[part]
        drawers = [_bound(_against, out), _bound(_residuals, out, kept)]
        if isinstance(fitted.curve, FittedQueryCurve):
            drawers += [
                _bound(_grid, fitted.curve, out, kept, False),
                _bound(_grid, fitted.curve, out, kept, True),
            ]
        yield part, drawers


def _bound(drawer: Any, *arguments: Any) -> Any:
    return lambda axes, part: drawer(axes, part, *arguments)


def _against(axes: Axes, part: str, out: LeftOut) -> None:
    """Measured against predicted, with the 90 % interval of a new trial."""
    noun, unit = NOUNS[part]
    order = np.argsort(out.predicted)
    predicted, half = out.predicted[order], out.half_widths_pct()[order] / 100
    sound = predicted > 0
    predicted, half = predicted[sound], half[sound]
    low = np.maximum(predicted * (1 - half), predicted.min() / 10)
    axes.fill_between(predicted, low, predicted * (1 + half), color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(predicted, predicted, color=GREY, linewidth=1)
    axes.plot(out.predicted, out.measured, "o", color=BLUE, markersize=3.2, alpha=0.75)
    axes.set(xscale="log", yscale="log", xlabel=f"predicted, left out ({unit})", ylabel=f"measured ({unit})")
    covered = 100 * out.covered().mean()
    axes.set_title(f"{noun}: off by {out.mape_pct:.1f} %; the band holds {covered:.0f} %", fontsize=9)


def _residuals(axes: Axes, part: str, out: LeftOut, rows: Trials) -> None:
    """Left-out errors over the tokens of a trial's batch."""
    tokens = rows["batch"] * (rows["tau_in"] + rows["tau_out"])
    limit = max(3 * out.mape_pct, 5.0)
    errors = np.clip(out.errors_pct, -limit, limit)
    beyond = np.abs(out.errors_pct) > limit
    axes.axhline(0, color=GREY, linewidth=1)
    axes.plot(tokens[~beyond], errors[~beyond], "o", color=BLUE, markersize=3.2, alpha=0.75)
    axes.plot(tokens[beyond], errors[beyond], "x", color=RED, markersize=5)
    axes.set(
        xscale="log", xlabel="prompt and answer, all queries (tokens)", ylabel="predicted less measured (%)"
    )
    axes.set_title(f"left-out errors; {int(beyond.sum())} beyond the frame (x)", fontsize=9)


def _grid(
    axes: Axes, part: str, curve: FittedQueryCurve, out: LeftOut, rows: Trials, per_token: bool
) -> None:
    """The curve over answers, one line a level of the prompt, through its measured points."""
    from matplotlib import colormaps

    noun, unit = NOUNS[part]
    fitted = curve.parts()[part]
    levels = _levels(rows["tau_in"])
    answers = np.unique(
        np.geomspace(rows["tau_out"].min(), rows["tau_out"].max(), CURVE_POINTS).astype(np.int64)
    )
    for place, level in enumerate(levels):
        colour = colormaps["viridis"](place / max(len(levels), 1))
        at = rows["tau_in"] == level
        line, _ = fitted.predict(np.full(len(answers), level), answers)
        line = np.where(line > 0, line, np.nan)
        scale = (answers, rows["tau_out"][at]) if per_token else (1, 1)
        axes.plot(answers, line / scale[0], color=colour, linewidth=1.1, label=f"{level:,}")
        axes.plot(rows["tau_out"][at], out.measured[at] / scale[1], "o", color=colour, markersize=3)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="answer (tokens)",
        ylabel=f"{unit} a generated token" if per_token else unit,
    )
    axes.set_title(f"{noun} a generated token" if per_token else f"{noun} of a query", fontsize=9)
    if not per_token:
        axes.legend(title="prompt (tokens)", fontsize=6.5, title_fontsize=7, ncols=2)


def _levels(values: NDArray[np.int64], most: int = 9) -> list[int]:
    """The levels with the most trials, at most `most`, ascending."""
    levels, counts = np.unique(values, return_counts=True)
    kept = levels[np.argsort(-counts, kind="stable")[:most]]
    return sorted(kept.tolist())
