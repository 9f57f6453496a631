"""Tables in the terminal: headings and figures stay whole at any width."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llmsim.report.columns import Columns
from llmsim.report.compare_page import HEADINGS
from llmsim.report.fidelity_table import GAPS, _short
from llmsim.report.grid import Grid

LONG = "single (deployment=qwen2_5_1_5b@h200)"
SIDES = ["policy", *(text for name in ("energy", "makespan", "serving") for text in (name, "simulated", "%"))]
GRIDS = [
    Grid("Sides", SIDES, [["zeta_cost [x]", *["6.938 kJ", "6.996 kJ", "+0.83"] * 3]], together=3),
    Grid("Sides", SIDES, [[LONG, *["6.938 kJ", "6.996 kJ", "+0.83"] * 3]], "Told.", together=3),
    Grid("Gaps", ["policy", *map(_short, GAPS), "same choices, %"], [[LONG, *["-10.78"] * 9]]),
    Grid("Runs", HEADINGS, [["run" * 9, "active energy a query", *["0.5416 to 0.7633 points"] * 5]], words=2),
]


def shown(grid: Grid, width: int) -> str:
    out = io.StringIO()
    grid.show(Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("grid", GRIDS)
def test_no_word_of_a_heading_and_no_figure_is_torn(grid: Grid, width: int) -> None:
    text = shown(grid, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for cell in grid.rows[0][grid.words :]:
        assert text.count(cell) >= grid.rows[0].count(cell)
    for word in " ".join(grid.headings).split():
        assert f" {word} " in text.replace("\n", " ")


def test_labels_are_folded_where_that_keeps_a_table_in_one_piece_and_nowhere_else() -> None:
    text = shown(GRIDS[1], 120)
    assert text.count("policy") == 1
    assert "single (deployment= " in text
    assert LONG in shown(GRIDS[1], 140)


@given(
    st.lists(st.tuples(st.integers(1, 24), st.integers(1, 24)), min_size=2, max_size=12),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(60, 200),
)
def test_parts_hold_every_column_once_after_the_labels(
    sizes: list[tuple[int, int]], words: int, together: int, room: int
) -> None:
    headings = ["h" * heading for heading, _ in sizes]
    rows = [["1" * cell for _, cell in sizes]]
    words = min(words, len(sizes) - 1)
    parts = Columns(headings, rows, words, together, room, 1, 2).parts()
    found = [place for part in parts for place, _ in part[words:]]
    assert found == list(range(words, len(sizes)))
    for part in parts:
        assert [place for place, _ in part[:words]] == list(range(words))
        assert all(width >= sizes[place][1] for place, width in part[words:])
        groups = (len(part) - words + together - 1) // together
        assert groups == 1 or 1 + sum(width + 2 for _, width in part) <= room
