"""The figure of a fitted curve: its labels fit."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from llmsim.report.fit_plots import _make_room
from llmsim.report.ticks import plain_ticks


def figure_with(label: str, top: float):
    figure = Figure(figsize=(8, 4))
    axes = figure.subplots(2, 2, squeeze=False)
    for ax in axes.flat:
        ax.plot([1, top], [1, top])
        ax.set(xscale="log", yscale="log", ylabel=label)
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
    return figure, axes


def test_labels_are_inside_the_figure_and_off_the_panel_to_their_left():
    for label, top in (("J", 2.0), ("measured (J)", 1e7), ("joules a generated token", 1e12)):
        figure, axes = figure_with(label, top)
        _make_room(figure, axes)
        renderer = FigureCanvasAgg(figure).get_renderer()
        for first, second in axes:
            assert first.yaxis.get_tightbbox(renderer).x0 > 0
            assert second.yaxis.get_tightbbox(renderer).x0 > first.get_window_extent().x1
            assert second.get_window_extent().x1 < figure.bbox.x1
            assert second.get_window_extent().width > 0


def test_a_short_axis_has_few_labels_and_at_least_two():
    for low, high in ((4000, 8000), (0.05, 0.075), (1.2, 1.9), (1, 1000)):
        _, axes = figure_with("J", 2.0)
        axes[0, 0].set(xlim=(low, high))
        shown = [tick for tick in axes[0, 0].get_xticks() if low <= tick <= high]
        assert 2 <= len(shown) <= 5
