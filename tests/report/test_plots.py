"""The plots of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmsim.errors import InputError
from llmsim.report.charts_energy import cheapest, nearest
from llmsim.report.drawing import Drawing
from llmsim.report.palette import OTHERS, OTHERS_NAME, make_palette
from llmsim.report.plots import Plot, draw
from tests.report.conftest import REASON, Run

NAMES = ["energy_accuracy", "energy_deployments", "placement", "latency", "latency_deployments", "over_time"]


def drawn(run: Run, folder: Path) -> list[Plot]:
    return draw(Drawing(run.summary, run.queries, run.baseline_queries), folder)


def test_every_plot_is_written_in_both_formats(plots: list[Plot]) -> None:
    assert [plot.name for plot in plots] == NAMES
    for plot in plots:
        assert plot.png.read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in plot.svg.read_bytes()[:2000]
        assert plot.title
        assert plot.caption


def test_the_same_run_gives_the_same_bytes_whatever_the_users_style(
    run: Run, plots: list[Plot], tmp_path: Path
) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 22.0, "axes.facecolor": "red"}):
        again = drawn(run, tmp_path)
        assert matplotlib.rcParams["font.size"] == 22.0
    for first, second in zip(plots, again, strict=True):
        assert first.png.read_bytes() == second.png.read_bytes(), first.name
        assert first.svg.read_bytes() == second.svg.read_bytes(), first.name


def test_files_stay_small_and_bear_no_date(plots: list[Plot]) -> None:
    for plot in plots:
        assert plot.svg.stat().st_size < 300_000, plot.name
        assert b"dc:date" not in plot.svg.read_bytes()


def test_titles_say_what_is_seen(plots: list[Plot]) -> None:
    titles = {plot.name: plot.title for plot in plots}
    assert "less active energy than" in titles["energy_accuracy"]
    assert "of the served queries go to llama2_7b@a100" in titles["placement"]
    assert "half of the queries end within" in titles["latency"]


def test_plots_without_figures_are_left_out(run: Run, tmp_path: Path) -> None:
    for row in [run.summary, *run.summary["baselines"].values()]:
        row["accuracy_pct"] = None
        row["energy_active_j"] = None
    assert [plot.name for plot in drawn(run, tmp_path)] == NAMES[2:]


def test_a_run_in_which_all_were_refused_is_drawn(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa

    gone = [i for i, reason in enumerate(run.queries["refused"].to_pylist()) if reason == REASON]
    run.queries = run.queries.take(pa.array(gone))
    run.baseline_queries = {}
    assert "every query is refused" in {p.name: p.title for p in drawn(run, tmp_path)}["placement"]
    run.queries = run.queries.slice(0, 0)
    assert "placement" not in {plot.name for plot in drawn(run, tmp_path)}


def test_a_run_without_baselines_is_drawn_but_for_the_trade_off(run: Run, tmp_path: Path) -> None:
    run.summary["baselines"] = {}
    run.baseline_queries = {}
    assert [plot.name for plot in drawn(run, tmp_path)] == NAMES[1:]


def test_names_with_signs_of_mathematics_are_plain_text(run: Run, tmp_path: Path) -> None:
    run.summary["policy"] = r"_$\frac{$ <&>"
    assert len(drawn(run, tmp_path)) == len(NAMES)


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        drawn(run, tmp_path / "file" / "plots")


def test_importing_the_report_loads_nothing_heavy() -> None:
    code = (
        "import sys; from llmsim.report import plots, table, page; "
        "print([m for m in ('matplotlib', 'pyarrow', 'pandas', 'rich', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_more_deployments_than_colours_are_drawn_as_others(run: Run) -> None:
    part = run.summary["deployments"]["llama2_7b@a100"]
    run.summary["deployments"] = {f"m{i}@h": {**part, "energy_active_j": float(i)} for i in range(12)}
    run.summary["baselines"] = {}
    palette = make_palette(run.summary)
    assert palette.shown == (*(f"m{i}@h" for i in range(4, 12)), OTHERS_NAME)
    assert palette.group("m0@h") == OTHERS_NAME
    assert palette.colour("m0@h") == OTHERS
    assert len({palette.colour(name) for name in palette.shown}) == 9


def test_no_kept_point_is_beaten_and_every_other_is() -> None:
    points = [(50.0, 2.0), (55.0, 4.0), (55.0, 5.0), (52.0, 6.0), (64.0, 18.0), (60.0, 3.0)]
    assert cheapest(points) == [(50.0, 2.0), (60.0, 3.0), (64.0, 18.0)]


def test_the_nearest_baseline_is_one_that_keeps_the_bounds(run: Run) -> None:
    found = nearest(run.summary)
    assert found is not None
    fair = {k: v for k, v in run.summary["baselines"].items() if v["keeps_bounds"]}
    assert found[0] == min(fair, key=lambda label: fair[label]["energy_active_j"])
