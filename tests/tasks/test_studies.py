"""The studies as tasks: their files, what they say, and what they refuse."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console

from llmsim.config import load_config
from llmsim.errors import InputError
from llmsim.tasks import TASKS

SMALL = {
    "wilkins_offline": (["workload.limit=60", "task.few=20", "task.zetas=[0,1]"], {"plans"}),
    "wilkins_hybrid": (
        ["task.workloads=[alpaca]", "task.thresholds=[8,64]", "task.big_host_w=[0,100]"],
        {"ideal", "thresholds", "hosts", "turns"},
    ),
    "wilkins_online": (
        ["workload.resample=300", "task.zetas=[0,1]", "task.rates=[10]", "task.rate_queries=100"],
        {"zeta", "rate", "corrections"},
    ),
}


def run(name, *words):
    config = load_config([f"experiment={name}", *words])
    return TASKS.build(config.task).run(config)


@pytest.fixture(scope="module", params=list(SMALL))
def found(request):
    words, tables = SMALL[request.param]
    return run(request.param, *words), tables


def test_a_study_leaves_its_figures_tables_plots_and_a_page(found, tmp_path):
    study, tables = found
    study.save(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["findings"] == list(study.findings)
    assert "timing" not in summary  # the same configuration gives the same bytes
    for name in tables:
        with (tmp_path / f"{name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(study.tables[name]) > 0
    for chart in study.charts:
        assert (tmp_path / "plots" / f"{chart}.png").stat().st_size > 10_000
        assert (tmp_path / "plots" / f"{chart}.svg").stat().st_size > 10_000
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table") == len(study.grids)
    assert page.count("data:image") == len(study.charts)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_screen_has_every_sentence_and_table(found):
    study, _ = found
    screen = io.StringIO()
    study.show(Console(file=screen, width=120))
    text = screen.getvalue()
    assert all(grid.title in text for grid in study.grids)
    assert "nan" not in text
    assert "…" not in text
    for sentence in study.findings:
        assert sentence.split()[0] in text


def test_the_hybrid_answer_turns_as_the_data_say():
    study = run("wilkins_hybrid", "task.workloads=[alpaca]", "task.thresholds=[32]", "task.big_host_w=[0]")
    ideal = {r["curves"]: r for r in study.tables["ideal"] if r["split"] == "ideal"}
    assert ideal["printed"]["share_small_pct"] > 99  # the companion's coefficients
    assert 30 < ideal["fitting"]["share_small_pct"] < 45
    assert 0 < ideal["fitting"]["saving_pct"] < 1
    rule = {(r["curves"], r["rule"]): r for r in study.tables["turns"]}
    assert rule["printed", "tau_in"]["saving_pct"] > 50
    assert rule["fitting", "tau_in"]["saving_pct"] < -50


def test_a_hardware_without_printed_curves_is_studied_with_those_that_fit():
    words = ["task.workloads=[alpaca]", "task.thresholds=[32]", "task.big_host_w=[0]"]
    study = run("wilkins_hybrid", "hardware=[m1_pro,palmetto_a100]", *words)
    assert {r["curves"] for r in study.tables["ideal"]} == {"fitting", "fitting, GPU only"}


def test_queries_that_do_not_fit_every_model_are_left_out_and_told():
    study = run(
        "wilkins_offline", "workload=azure_conv", "workload.limit=100", "task.few=20", "task.zetas=[1]"
    )
    (note,) = [note for note in study.summary["workload"]["notes"] if "left out" in note]
    left_out = int(note.split()[0])
    assert left_out > 0
    assert {r["queries"] for r in study.tables["plans"]} == {20, 100 - left_out}


@pytest.mark.parametrize(
    ("name", "word", "said"),
    [
        ("wilkins_offline", "task.zetas=[0,1.5]", r"task\.zetas: 1\.5 is none"),
        ("wilkins_offline", "task.normalise=maks", r"task\.normalise=maks.*Did you mean 'max'"),
        ("wilkins_offline", "hardware=v100", r"printed no curve of llama2-7b on palmetto-v100|has curves"),
        ("wilkins_hybrid", "task.workloads=[alpacca]", r"task\.workloads: alpacca.*Did you mean 'alpaca'"),
        ("wilkins_hybrid", "hardware=a100", r"needs two deployments"),
        ("wilkins_hybrid", "hardware=[a100,m1_pro]", r"put hardware=m1_pro first"),
        ("wilkins_online", "task.rates=[0]", r"expected above 0"),
    ],
)
def test_what_cannot_be_studied_is_refused_by_name(name, word, said):
    with pytest.raises(InputError, match=said):
        run(name, word)
