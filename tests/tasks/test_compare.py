"""task=compare: runs and sweeps side by side, and what cannot be."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from llmsim.api import evaluate, load_config
from llmsim.errors import InputError
from llmsim.tasks import TASKS

SMALL = ["workload.limit=120", "fleet=one_each", "baselines=[]", "report=figures"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, words in {"0": ["policy.zeta=0"], "1": ["policy.zeta=1"], "2": ["workload=alpaca"]}.items():
        (folder / name).mkdir()
        evaluate(load_config([*SMALL, *words])).save(folder / name)
    (folder / "3" / ".hydra").mkdir(parents=True)  # one that failed
    return folder


def compare(*folders, words=()):
    config = load_config(["task=compare", f"runs=[{','.join(map(str, folders))}]", *words])
    return TASKS.build(config.task).run(config)


def test_each_run_is_held_against_the_first_query_by_query(runs, tmp_path):
    found = compare(runs)
    found.save(tmp_path)
    saved = json.loads((tmp_path / "compare.json").read_text())
    assert [run["name"] for run in saved["runs"]] == ["0", "1", "2"]
    summaries = [json.loads((runs / name / "summary.json").read_text()) for name in "01"]
    energy = saved["differences"]["1"]["energy_j"]
    served = summaries[0]["served"]
    assert energy["pairs"] == served
    wanted = (summaries[1]["energy_active_j"] - summaries[0]["energy_active_j"]) / served
    assert energy["mean"] == pytest.approx(wanted)
    assert energy["low"] < energy["mean"] < energy["high"] < 0
    assert saved["differences"]["2"] == "not the same queries"
    page = (tmp_path / "report.html").read_text()
    assert "3 runs side by side" in page
    assert str(runs / "1") in page
    assert "points" in page  # per cent of accuracy less per cent
    assert (tmp_path / "plots" / "trade_off.svg").exists()
    assert saved["left_out"] == [f"Left out, as they have no summary.json, runs of {runs}: 3."]
    assert "not the same queries" in page
    screen = StringIO()
    found.show(Console(file=screen, width=160))
    assert "active energy a query" in screen.getvalue()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0"], "two runs or more"),
        (["0", "0"], "named twice"),
        (["0", "nowhere"], "no run"),
        (["0", "3"], "did not end"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, names, message):
    with pytest.raises(InputError, match=message):
        compare(*(runs / name for name in names))
