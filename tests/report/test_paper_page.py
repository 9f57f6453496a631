"""The page on the paper is generated: its tables are today's."""

from pathlib import Path

from llmsim.report import wilkins_markdown
from llmsim.report.paper_page import BEGIN, END, refreshed

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"


def test_the_tables_that_hold_the_paper_to_its_print_are_on_the_page_as_generated():
    text = PAGE.read_text(encoding="utf-8")
    tables = wilkins_markdown.as_markdown([])
    for section in tables.split("### ")[1:4]:
        assert section.strip() in text


def test_refreshing_replaces_the_generated_part_only():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert refreshed(page, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert refreshed(refreshed(page, "a\n"), "new\n") == refreshed(page, "new\n")
