"""The plots of a run, as PNG and SVG with the same bytes each time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsim.errors import InputError
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.labels import text_width_in
from llmsim.report.parts import PARTS

log = logging.getLogger(__name__)

INK = "#22262B"
SIZE_IN = (8.2, 4.7)
BOLD = 1.18
"""How much wider bold type is."""
STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9AA1AB",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#E6E9ED",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.dpi": 130,
    "figure.dpi": 130,
    "svg.fonttype": "path",
    "svg.hashsalt": "llmsim",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": "#4A515B",
    "xtick.labelsize": 8.5,
    "ytick.color": "#4A515B",
    "ytick.labelsize": 8.5,
}


@dataclass(frozen=True)
class Plot:
    """One plot as it lies in the run's folder.

    Attributes:
        name: file name without its ending.
        title: what is seen, one sentence.
        caption: how to read it.
        png, svg: the files.
    """

    name: str
    title: str
    caption: str
    png: Path
    svg: Path


def draw(drawing: Drawing, folder: Path) -> list[Plot]:
    """Draw the charts of every part; one whose figures are absent is left out and logged.

    Args:
        drawing: the run's figures and tables.
        folder: where the files go; made if missing.

    Raises:
        InputError: when the folder cannot be made or written to.
    """
    return draw_charts({k: v for part in PARTS for k, v in part.charts(drawing).items()}, folder)


def draw_charts(charts: Mapping[str, Chart], folder: Path) -> list[Plot]:
    """Draw each chart under its name; one that answers None has nothing to show, and is left out.

    Raises:
        InputError: when the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _style():
            plots = [_save(name, chart, folder) for name, chart in charts.items()]
    except OSError as error:
        raise InputError(f"The plots cannot be written to {folder}: {error.strerror or error}") from error
    return [plot for plot in plots if plot is not None]


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the user's matplotlibrc says; put back afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _save(name: str, chart: Chart, folder: Path) -> Plot | None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN)
    told = chart(figure)
    if told is None:
        log.info("The plot %s is left out: the run has no figures for it.", name)
        return None
    title, caption = told
    room = 0.976 * figure.get_figwidth()
    size = min(11.0, 11.0 * room / (BOLD * text_width_in([title], 11.0)))
    figure.text(0.012, 1 - 0.10 / figure.get_figheight(), title, fontsize=size, fontweight="bold", va="top")
    plot = Plot(name, title, caption, folder / f"{name}.png", folder / f"{name}.svg")
    figure.savefig(plot.png, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    figure.savefig(plot.svg, metadata={"Date": None, "Creator": None})
    return plot
