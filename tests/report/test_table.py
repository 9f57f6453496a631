"""What the terminal shows of a run."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from llmsim.report.table import cell_width, render
from tests.report.conftest import NAMES, ONLY, REASON, Run


def shown(summary: dict[str, Any], width: int = 110, **options: Any) -> str:
    out = io.StringIO()
    render(summary, Console(file=out, width=width, **options))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_every_row_and_figure_is_shown_at_any_width(run: Run, width: int) -> None:
    text = shown(run.summary, width)
    lines = text.splitlines()
    for label in ["optimal", *run.summary["baselines"], *NAMES]:
        assert any(line.startswith(label) for line in lines), label
    for heading in (
        "energy, MJ",
        "latency, s",
        "wait, ",
        "makespan",
        "utilisation",
        "saving, %",
        "accuracy",
    ):
        assert heading in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_console(run: Run, width: int) -> None:
    assert max(cell_width(line) for line in shown(run.summary, width).splitlines()) <= width


def test_a_file_gets_no_colour_codes_and_a_terminal_does(run: Run) -> None:
    assert "\x1b" not in shown(run.summary)
    assert "\x1b[" in shown(run.summary, force_terminal=True, color_system="standard")


def test_numbers_stand_right_aligned_under_their_heading(run: Run) -> None:
    lines = shown(run.summary, 100).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("policy"))
    end = lines[head].index("active") + len("active")
    for line in (line for line in lines[head + 2 : head + 10] if not line.startswith("─")):
        assert re.fullmatch(r".*[0-9<]", line[:end])
        assert line[end : end + 1] == " "


def test_a_missing_figure_is_a_dash_with_its_reason_and_never_zero(run: Run) -> None:
    run.summary["accuracy_pct"] = None
    run.summary["absent"] = {"accuracy_pct": "llama2_7b has no accuracy score"}
    text = shown(run.summary, 200)
    policy = next(line for line in text.splitlines() if line.startswith("optimal  "))
    assert "—" in policy
    assert "accuracy of optimal: llama2_7b has no accuracy score" in text


def test_a_missing_figure_without_a_reason_says_so(run: Run) -> None:
    run.summary["makespan_s"] = None
    assert "makespan of optimal: no reason was recorded" in shown(run.summary, 200)


def test_a_saving_that_would_not_be_fair_says_why_it_is_absent(run: Run) -> None:
    text = " ".join(shown(run.summary, 100).split())
    assert f"saving against only {NAMES[0]}, only {NAMES[1]}, only {NAMES[2]}: {ONLY}" in text


def test_what_the_figures_rest_on_is_told(run: Run) -> None:
    text = " ".join(shown(run.summary, 100).split())
    assert "proved within 1e-12 of optimal on the priced cost" in text
    assert "not what queueing adds" in text
    assert "GPU boards, without the host" in text
    assert "NVML on an idle board; no model loaded" in text
    assert REASON in text
    assert "lie outside the measured range" in text
    assert run.summary["warnings"][0] in text


def test_a_policy_without_a_certificate_says_so(run: Run) -> None:
    run.summary["certificate"] = None
    assert "does not prove" in shown(run.summary)


def test_a_run_without_baselines_has_no_savings(run: Run) -> None:
    run.summary["baselines"] = {}
    text = shown(run.summary)
    assert "predicted saving" in text  # at no less accuracy than the policy's own
    assert "saving" not in text.replace("predicted saving", "")
    assert "optimal" in text


def test_how_many_were_served_is_a_column_only_where_it_differs(run: Run) -> None:
    assert "served" not in shown(run.summary).replace("queries served", "").replace("served queries", "")
    run.summary["baselines"]["random"]["served"] -= 100
    assert re.search(r"^ +served ", shown(run.summary), re.MULTILINE)


def test_a_console_without_unicode_still_shows_everything(run: Run) -> None:
    run.summary["accuracy_pct"] = None
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    render(run.summary, Console(file=out, width=100))
    out.flush()
    assert b"proved within 1e-12" in raw.getvalue()


def test_names_are_text_and_not_markup(run: Run) -> None:
    run.summary["warnings"] = ["[red]careful[/red] :smile: \x1b[2J"]
    text = shown(run.summary)
    assert "[red]careful[/red] :smile:" in text
    assert "\x1b" not in text


def test_an_almost_empty_summary_is_all_dashes_and_no_failure() -> None:
    text = shown({"policy": "optimal", "queries": 0, "served": 0, "refused": 0})
    assert "—" in text
    assert "no reason was recorded" in text


def test_a_figure_that_was_asked_for_has_its_column_even_where_it_could_not_be_had(run: Run) -> None:
    run.summary["absent"] = {"carbon_g": "not asked: set tariff.gram_co2_per_kwh"}
    assert "carbon" not in shown(run.summary)
    run.summary["absent"] = {"carbon_g": "the fleet's energy is not known"}
    text = " ".join(shown(run.summary).split())
    assert "carbon of optimal, round_robin" in text
    assert "the fleet's energy is not known" in text


def test_the_honest_saving_leads_and_says_that_it_is_predicted(run: Run) -> None:
    lines = shown(run.summary).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("policy"))
    assert lines[head - 1].strip().startswith("at no less accuracy")
    assert lines[head].split()[1:3] == ["predicted", "saving,"]
    assert lines[head].index("active") > lines[head].index("predicted")
