"""The page on the paper is generated: its tables are today's."""

from pathlib import Path

import pytest

from llmsim import paper
from llmsim.paper import BEGIN, END, refreshed
from llmsim.report import wilkins_markdown

PAGE = Path(__file__).parents[1] / "docs" / "paper.md"


def test_the_tables_that_hold_the_paper_to_its_print_are_on_the_page_as_generated():
    text = PAGE.read_text(encoding="utf-8")
    tables = wilkins_markdown.as_markdown([])
    for section in tables.split("### ")[1:4]:
        assert section.strip() in text


def test_the_offline_and_the_hybrid_study_are_on_the_page_as_generated():
    text = PAGE.read_text(encoding="utf-8")
    for name in ("offline", "hybrid"):
        assert refreshed(text, name, paper.study(name).as_markdown()) == text


def test_refreshing_replaces_the_named_part_only():
    begin, end = BEGIN.format(name="x"), END.format(name="x")
    page = f"before\n{begin}\nold\n{end}\nafter\n"
    assert refreshed(page, "x", "new\n") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert refreshed(refreshed(page, "x", "a\n"), "x", "new\n") == refreshed(page, "x", "new\n")
    with pytest.raises(ValueError, match="no part named y"):
        refreshed(page, "y", "new")
