"""The pages as a person sees them: no error, nothing asked of the network, plots, sorting, on a phone."""

from __future__ import annotations

import pytest

from tests.command import llmsim_here
from tests.report.browser import browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")

PHONE, DESK = 390, 1200
SEEN = """
[...document.querySelectorAll("figure img")].every(image =>
    image.complete && image.naturalWidth > 100 && image.getBoundingClientRect().width > 100)
"""
# No table is wider than its place.
WHOLE = "[...document.querySelectorAll('.scroll')].every(box => box.scrollWidth <= box.clientWidth)"
# Each sortable column, ascending and descending: whether its rows stand in that order, absent ones last, and
# its head says so.
SORTED = """
[...document.querySelectorAll("table.sortable")].every(table =>
  [...table.querySelectorAll("th[data-column]")].every(head => [1, -1].every(sign => {
    head.querySelector("button").click();
    if (head.getAttribute("aria-sort") !== (sign > 0 ? "ascending" : "descending")) return false;
    const column = Number(head.dataset.column);
    const cells = [...table.tBodies[0].rows].map(row => row.cells[column]);
    const numbers = cells.filter(cell => "value" in cell.dataset);
    if (numbers.length < cells.length) return true;
    const known = cells.map(cell => cell.dataset.value);
    const values = known.filter(text => text !== "").map(Number);
    const last = known.slice(values.length).every(text => text === "");
    return last && values.every((value, place) => !place || sign * (value - values[place - 1]) >= 0);
  })))
"""


@pytest.fixture(scope="module")
def pages(finished, swept, tmp_path_factory):
    """The page of a run, of a sweep and of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    llmsim_here(folder, "task=compare", f"runs=[{swept[1]}]", "hydra.run.dir=compare")
    folders = {"run": finished[1], "sweep": swept[1], "compare": folder / "compare"}
    return {name: place / "report.html" for name, place in folders.items()}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", ["run", "sweep", "compare"])
def test_a_page_is_whole_offline_and_readable_at_a_desk_and_on_a_phone(pages, page, name):
    for width in (DESK, PHONE):
        page.open(pages[name], width)
        assert page.value("document.querySelectorAll('table.sortable tbody tr').length") > 1
        assert page.value(SORTED)
        assert page.value(SEEN)
        assert page.value("document.querySelectorAll('figure img').length") >= (name != "compare")
        # Nothing but what scrolls by itself is wider than the screen, and the type is not shrunk.
        assert page.value("document.documentElement.scrollWidth") <= width
        if width == DESK:
            page.value("document.querySelectorAll('details').forEach(part => { part.open = true; })")
            assert page.value(WHOLE)
        assert page.value("parseFloat(getComputedStyle(document.body).fontSize)") >= 14
        assert page.value("window.innerWidth") == width
        asked = [address for address in page.requests if not address.startswith(("file:", "data:"))]
        assert asked == []
        assert page.errors == []


def test_a_page_that_asks_for_something_is_caught(page, tmp_path):
    (tmp_path / "bad.html").write_text("<img src='https://example.invalid/x.png'><script>nothing()</script>")
    page.open(tmp_path / "bad.html", DESK)
    assert any("example.invalid" in address for address in page.requests)
    assert any("nothing" in error for error in page.errors)
