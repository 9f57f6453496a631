"""Ticks of axes have room; charts with long names keep their words apart."""

from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from llmsim.report.fidelity_plots import _parts, _sides
from llmsim.report.folding import fold
from llmsim.report.panels import Line, Panel, draw_panels
from llmsim.report.plots import STYLE
from llmsim.report.ticks import plain_ticks

LONG = "single (deployment=qwen2_5_1_5b@h200)"


def boxes(texts: Any, canvas: Any) -> list[Any]:
    """Extents of the texts that are shown."""
    renderer = canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts if text.get_text() and text.get_visible()]


@example(low=0.00168, factor=1.05, width=0.25, scale="log")
@example(low=123456.0, factor=1.5, width=0.1, scale="log")
@example(low=57.0613, factor=1.0003, width=0.41, scale="linear")
@example(low=2.2, factor=2.0, width=0.4, scale="log")
@given(
    low=st.floats(1e-6, 1e6),
    factor=st.floats(1.01, 1e9),
    width=st.floats(0.12, 0.9),
    scale=st.sampled_from(["log", "symlog", "linear"]),
)
def test_no_label_of_an_axis_stands_on_another(low: float, factor: float, width: float, scale: str) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 4.0))
        canvas: Any = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.1, 0.1, width, width))
        axes.set(xscale=scale, yscale=scale, xlim=(low, low * factor), ylim=(low, low * factor))
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        for axis in (axes.xaxis, axes.yaxis):
            found = boxes([tick.label1 for tick in axis._update_ticks()], canvas)
            assert not any(one.overlaps(other) for one, other in pairwise(found))
            assert found or scale == "symlog" or width < 0.4


def test_a_long_axis_of_any_range_has_two_labels_or_more() -> None:
    for factor, scale in product((1.001, 1.07, 1.5, 2.1, 4.0, 12.0, 1e3, 1e7), ("log", "linear")):
        for low in np.geomspace(0.0017, 0.9, 5):
            axes = Figure(figsize=(4, 4)).subplots()
            axes.set(xscale=scale, xlim=(low, low * factor))
            plain_ticks(axes.xaxis)
            assert 2 <= len(axes.get_xticks()) <= 9, (low, factor)


def test_an_axis_from_zero_has_zero_and_powers_of_ten() -> None:
    figure = Figure(figsize=(8, 4))
    line = Line("a", [0.0, 1.0], [0.0, 400.0], "red")
    draw_panels(figure, [Panel("x", "y", [line], ("linear", "symlog"))])
    assert figure.axes[0].get_yticks().tolist() == [0, 0.01, 0.1, 1, 10, 100]


def test_words_of_panels_with_long_names_stay_apart(tmp_path: Path) -> None:
    one = {"curve": -1.0, "choices": 0.5, "measured": 100.0, "simulated": 99.5}
    keys = ("energy_active_j", "serving_s", "makespan_s")
    row = {
        "parts": dict.fromkeys(keys, one),
        "gap_pct": dict.fromkeys(keys, -0.5),
        **{side: dict.fromkeys(keys, 1e4) for side in ("measured", "simulated")},
    }
    for chart in (_parts, _sides):
        with matplotlib.rc_context(STYLE):
            figure = Figure()
            canvas: Any = FigureCanvasAgg(figure)
            assert chart(figure, {"rows": {"optimal": row, LONG: row, f"{LONG} {LONG}": row}})
            words = [text for ax in figure.axes for text in (ax.xaxis.label, *ax.get_yticklabels())]
            found = boxes(words, canvas)
            assert not any(a.overlaps(b) for a, b in combinations(found, 2))
            assert min(box.x0 for box in found) >= 0


@given(st.text(st.sampled_from("ab =,@_()"), max_size=60), st.integers(2, 30))
def test_folding_loses_nothing_but_blanks_and_keeps_to_the_width(text: str, most: int) -> None:
    lines = fold(text, most)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(len(line) for line in lines) <= most


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        (40, [LONG]),
        (26, ["single (deployment=", "qwen2_5_1_5b@h200)"]),
        (14, ["single", "(deployment=", "qwen2_5_1_5b@", "h200)"]),
    ],
)
def test_names_are_folded_where_they_are_read(most: int, lines: list[str]) -> None:
    assert fold(LONG, most) == lines
