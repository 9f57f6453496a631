"""The page of a run: complete, closed to the outside, safe with any name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.report.figures import COUNT
from llmsim.report.page import headline, render, saving, write
from llmsim.report.plots import Plot
from llmsim.report.sheet import Column, make_sheet
from tests.report.conftest import NAMES, ONLY, REASON, Run

VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Reader(HTMLParser):
    """Checks that tags balance; keeps tags with their attributes, and the text outside script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data + " "

    def words(self) -> str:
        return " ".join(self.text.split())


def test_nothing_on_the_page_asks_the_network(run: Run, plots: list[Plot]) -> None:
    page = render(run.summary, plots, "a: 1")
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_row_plot_and_source_is_on_the_page(run: Run, plots: list[Plot]) -> None:
    reader = Reader(render(run.summary, plots, "policy: optimal\nseed: 0\n"))
    text = reader.words()
    for label in ["optimal", *run.summary["baselines"], *NAMES, REASON, ONLY]:
        assert label in text
    for told in (
        "Proved within 1e-12 of optimal on the priced cost",
        "not what queueing adds",
        "GPU boards, without the host",
        "no model loaded",
        "wilkins2024.csv, Swing node",
        "energy roofline, runtime roofline",
        "8 to 2,048",
        "policy: optimal seed: 0",
        "revision e5eef1f",
        *run.summary["warnings"],
    ):
        assert told in text
    assert sum(tag == "img" for tag, _ in reader.tags) == len(plots) == 6


def test_names_from_outside_stay_text(run: Run, plots: list[Plot]) -> None:
    summary = run.summary
    plain = Reader(render(summary, plots, "x"))
    summary["policy"] = summary["workload"]["name"] = summary["energy_scope"] = HOSTILE
    summary["warnings"] = summary["workload"]["notes"] = [HOSTILE]
    summary["refused_reasons"] = {HOSTILE: 23}
    summary["idle_power"] = {HOSTILE: {"power_w": 1.0, "source": HOSTILE, "model_loaded": None}}
    summary["deployments"][HOSTILE] = summary["deployments"].pop(NAMES[0])
    summary["baselines"][HOSTILE] = summary["baselines"].pop("random")
    summary["provenance"]["curves"] = {
        HOSTILE: {"source": HOSTILE, "form": HOSTILE, "domain": {HOSTILE: [1, 2]}}
    }
    summary["certificate"]["bounds"] = {HOSTILE: [1, None]}
    summary["certificate"]["scope"] = summary["provenance"]["git_revision"] = HOSTILE
    summary["policy_settings"] = {HOSTILE: HOSTILE}
    hostile = [Plot(HOSTILE, HOSTILE, HOSTILE, plot.png, plot.svg) for plot in plots]
    reader = Reader(render(summary, hostile, HOSTILE))
    assert (
        sum(tag == "script" for tag, _ in reader.tags) == sum(tag == "script" for tag, _ in plain.tags) == 1
    )
    assert sum(tag == "img" for tag, _ in reader.tags) == len(plots)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert HOSTILE in reader.text


def test_a_missing_figure_is_a_dash_with_its_reason(run: Run) -> None:
    run.summary["accuracy_pct"] = None
    run.summary["absent"] = {"accuracy_pct": "llama2_7b has no accuracy score"}
    page = render(run.summary, [])
    assert '<td data-value="">—</td>' in page
    text = Reader(page).words()
    assert "accuracy of optimal: llama2_7b has no accuracy score" in text
    assert "at — accuracy" in text


def test_the_headline_says_what_it_costs_and_against_whom_it_saves(run: Run) -> None:
    assert re.search(
        r"^optimal serves 577 of 600 queries with [\d.]+ MJ of active energy", headline(run.summary)
    )
    assert re.search(r"[\d.]+ % less active energy and [\d.]+ % less total energy than", saving(run.summary))
    assert "same bounds" in saving(run.summary)
    run.summary["baselines"] = {}
    assert saving(run.summary) == ""


def test_the_page_is_the_same_each_time_and_small(run: Run, plots: list[Plot], tmp_path: Path) -> None:
    write(run.summary, plots, tmp_path / "one.html", "a: 1")
    write(run.summary, plots, tmp_path / "two.html", "a: 1")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert (tmp_path / "one.html").stat().st_size < 1_500_000


def test_an_almost_empty_summary_still_makes_a_page() -> None:
    assert "—" in Reader(render({"policy": "optimal"}, [])).words()


def test_a_page_that_cannot_be_written_is_the_users_to_mend(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write(run.summary, [], tmp_path / "absent" / "report.html")


def test_cells_carry_their_number_for_sorting(run: Run) -> None:
    page = render(run.summary, [])
    assert f'data-value="{run.summary["energy_active_j"]!r}"' in page
    assert 'class="sortable"' in page


@settings(max_examples=40)
@given(st.lists(st.integers(1, 5), max_size=12), st.integers(5, 15))
def test_a_wide_sheet_stands_in_parts_with_every_column_once_and_groups_whole(sizes, most) -> None:
    columns = [
        Column(f"group {g}", str(c), (f"{g} {c}",), COUNT, "")
        for g, size in enumerate(sizes)
        for c in range(size)
    ]
    row = {column.key: float(place) for place, column in enumerate(columns)}
    parts = make_sheet({"policy": row}, columns, True).parts(most)
    assert [column for part in parts for column in part.columns] == columns
    assert [figure for part in parts for figure in part.rows[0][1]] == list(row.values())
    names = [name for part in parts for name, _ in part.groups()]
    assert len(names) == len(sizes)
    assert len(parts) <= max(-(-len(columns) // most), 1)
    assert all(len(part.columns) < most + 5 for part in parts)
