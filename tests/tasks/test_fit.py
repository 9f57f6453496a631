"""task=fit: what it fits, what it leaves, and what it refuses."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from llmsim.config import load_config
from llmsim.curves import store
from llmsim.curves.headroom import Headroom
from llmsim.errors import InputError
from llmsim.tasks import TASKS
from llmsim.trials import Trials, shipped, write


def run(*overrides):
    config = load_config(["task=fit", *overrides])
    return TASKS.build(config.task).run(config)


@pytest.fixture(scope="module")
def result():
    return run("+hardware=[a100,a100_80gb]", "+model=[llama2_7b,llama2_70b]")


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    """What is left of two of the curves: one of whole queries, one of phases."""
    folder = tmp_path_factory.mktemp("fit")
    replace(result, curves=[result.curves[0], result.curves[-1]]).save(folder)
    return folder


def test_every_chosen_pair_is_fitted_or_listed_with_its_reason(result):
    found = {(c.provenance["system"], c.provenance["model"], c.n_devices) for c in result.curves}
    assert found == {
        ("swing-a100", "llama2-7b", 1),
        ("swing-a100", "llama2-70b", 4),
        ("dgx-a100-80gb", "llama2-70b", 2),
        ("dgx-a100-80gb", "llama2-70b", 4),
        ("dgx-a100-80gb", "llama2-70b", 8),
    }
    assert result.absent == {"llama2-7b on dgx-a100-80gb": "no trials"}


def test_fit_json_has_a_record_of_every_form_with_its_error(folder):
    records = json.loads((folder / "fit.json").read_text())["curves"]
    keys = {
        "system", "model", "target", "form", "chosen", "n", "loco_mape_pct", "loco_r2",
        "negative_predictions", "interval_coverage_pct",
    }  # fmt: skip
    assert all(keys <= set(record) for record in records)
    of = [r for r in records if (r["system"], r["model"]) == ("swing-a100", "llama2-7b")]
    assert {(r["target"], r["form"]) for r in of} == {
        (target, form)
        for target in ("energy", "runtime")
        for form in ("interaction", "recompute", "roofline")
    }


def test_the_saved_curves_are_those_that_were_fitted(result, folder):
    assert len(list((folder / "curves").iterdir())) == 2
    again = store.load(folder / "curves" / "llama2-7b@swing-a100x1.yaml")
    fitted = next(c for c in result.curves if c.provenance["model"] == "llama2-7b")
    assert again.provenance == fitted.provenance


def test_each_curve_has_its_plots(folder):
    names = ("llama2-7b@swing-a100x1", "llama2-70b@dgx-a100-80gbx8")
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert plots == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert min(path.stat().st_size for path in (folder / "plots").iterdir()) > 10_000


def test_the_screen_shows_lmfits_report_and_the_table(result):
    screen = io.StringIO()
    result.show(Console(file=screen, width=120))
    text = screen.getvalue()
    assert "[[Variables]]" in text
    assert "roofline *" in text
    assert "no curve: llama2-7b on dgx-a100-80gb (no trials)." in text
    assert "…" not in text


def test_the_users_own_trials_are_fitted_from_their_file(tmp_path):
    rows = shipped().where(system="swing-a100", model="mistral-7b", experiment="independence")
    named = {name: rows[name] for name in rows.columns}
    named["system"] = rows["system"].astype("<U20")
    named["system"][:] = "my-node"
    write(Trials(named), tmp_path / "mine.csv")
    result = run(f"trials.path={tmp_path / 'mine.csv'}")
    assert [c.provenance["system"] for c in result.curves] == ["my-node"]
    assert result.objective < 5


def test_nothing_to_fit_and_unknown_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Nothing to fit .*Trials are of: cpu, dgx-a100-80gb"):
        run("+hardware=l40s")
    with pytest.raises(InputError, match=r"task\.tables=wilkin: Did you mean 'wilkins'"):
        run("task.tables=wilkin", "+hardware=v100")


def test_the_thesis_tables_come_with_their_experiment():
    config = load_config(["experiment=wilkins_tables", "+model=mistral_7b"])
    result = TASKS.build(config.task).run(config)
    assert "| mistral-7b | runtime | c2 | 8.7634e-05 | 0.081 | misprint" in result.tables
    assert "| mistral-7b | energy | **roofline** |" in result.tables


def test_a_curve_without_a_headroom_says_how_to_measure_one_and_one_with_it_shows_it():
    config = load_config(["task=fit", "hardware=h200", "model=llama2_7b", "trials.kv_cache=true"])
    found = TASKS.build(config.task).run(config)
    (note,) = found.notes
    assert "llama2-7b@h200x1" in note
    assert "task.generation" in note
    assert found.summary()["notes"] == [note]
    text = Console(record=True, width=160, file=io.StringIO())
    headroom = Headroom(0.8171, 1.181, 26.5, 697.0, {"stderr": {"seconds": 0.0048}, "cells": 9})
    curve = replace(found.curves[0], provenance={**found.curves[0].provenance})
    curve.provenance.update(headroom=headroom.described(), headroom_absent_because=None)
    shown = replace(found, curves=[curve])
    shown.show_errors(text)
    assert shown.notes == []
    assert "0.8171 ±0.0048" in text.export_text()
