"""task=evaluate over a measuring backend: real batches on the virtual clock, journalled."""

import dataclasses
import gzip
import json
import tempfile

import numpy as np
import pandas.testing
import pytest

from llmsim.api import evaluate, load_config
from llmsim.backends import BACKENDS
from llmsim.errors import InputError
from llmsim.measurement.tdp import TdpMeter
from llmsim.policies.contract import Plan
from llmsim.policies.load_aware import LeastLoaded
from llmsim.policies.optimal import Optimal
from llmsim.tasks import contest, measuring
from tests.measurement.made_up import SteadyMeter, TableEngine

WORDS = [
    "hardware=a100_80gb", "policy=optimal",
    "workload.limit=40", "fleet.serving.max_batch=8", "fleet.serving.batch_wait_s=1.0",
]  # fmt: skip


@pytest.fixture
def config(monkeypatch, tmp_path):
    made_up = dataclasses.replace(
        BACKENDS, built_in={**BACKENDS.built_in, "made_up": "tests.measurement.made_up:MadeUpBackend"}
    )
    monkeypatch.setattr("llmsim.tasks.evaluate.BACKENDS", made_up)
    monkeypatch.setattr(measuring, "open_meters", lambda *_: ([SteadyMeter()], []))
    monkeypatch.setattr("llmsim.measurement.grouped.LEAST_WINDOW_S", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where devices are locked
    monkeypatch.chdir(tmp_path)
    TableEngine.opened = TableEngine.at_once = TableEngine.most_at_once = 0

    def composed(discipline, *others, models="llama2_70b"):
        baselines = f"baselines=[{','.join(others)}]"
        words = [*WORDS, f"fleet.serving.discipline={discipline}", f"model=[{models}]", baselines]
        if "bloom" in models:
            words += ["model.bloom_176b.accuracy_pct=50"]
        loaded = load_config(words)
        loaded.backend = {"name": "made_up"}
        return loaded

    return composed


@pytest.mark.parametrize("discipline", ["serial", "static"])
def test_batches_run_for_real_and_a_second_run_plays_the_journal(config, discipline):
    first = evaluate(config(discipline, "round_robin"))
    summary = first.summary
    assert (summary["energy_method"], summary["energy_scope"]) == ("measured", "gpu_boards")
    table = first.queries.to_pandas()
    served = table[table["end_s"].notna()]  # one is too long
    took = served["end_s"] - served["start_s"]
    assert (took >= 0.01 * served["tau_out"] + 1e-4 * served["tau_in"] - 1e-9).all()
    assert summary["energy_active_j"] == pytest.approx(served["energy_j"].sum())
    assert summary["energy_active_j"] > 0
    assert set(summary["baselines"]) == {"round_robin"}
    assert any("pieces of work were run on the device" in text for text in summary["warnings"])
    assert TableEngine.opened == 1
    again = evaluate(config(discipline, "round_robin"))
    assert TableEngine.opened == 1  # no engine was needed
    assert again.summary["energy_active_j"] == summary["energy_active_j"]
    assert again.queries.to_pandas().equals(table)


def test_an_estimate_is_called_one_and_no_joules_are_absent(config, monkeypatch):
    guess = TdpMeter(allow_estimate=True, tdp_w=2000.0, idle_w=1000.0)  # above the idle power described
    monkeypatch.setattr(measuring, "open_meters", lambda *_: ([guess], []))
    assert evaluate(config("static")).summary["energy_method"] == "estimated"
    monkeypatch.setattr(measuring, "FOLDER", measuring.FOLDER / "again")
    monkeypatch.setattr(measuring, "open_meters", lambda *_: ([], ["Energy is absent: no meter."]))
    summary = evaluate(config("static")).summary
    assert (summary["energy_method"], summary["energy_active_j"]) == ("measured", None)
    assert summary["absent"]["energy_active_j"] == "not all joules of what was served were measured"
    assert "Energy is absent: no meter." in summary["warnings"]


def test_a_plan_runs_deployment_by_deployment_and_gives_what_all_at_once_would(config, monkeypatch):
    apart = evaluate(config("static", models="llama2_70b,bloom_176b"))
    assert (TableEngine.opened, TableEngine.most_at_once, TableEngine.at_once) == (2, 1, 0)
    monkeypatch.setattr(measuring, "FOLDER", measuring.FOLDER / "again")
    monkeypatch.setattr(contest, "OfflinePolicy", type(None))
    together = evaluate(config("static", models="llama2_70b,bloom_176b"))
    assert TableEngine.most_at_once == 2
    tables = [one.queries.to_pandas().drop(columns="energy_j") for one in (apart, together)]
    pandas.testing.assert_frame_equal(*tables)


def test_iterations_of_a_backend_that_runs_batches_only_are_refused(config):
    with pytest.raises(InputError, match="discipline=static"):
        evaluate(config("continuous"))


def test_a_journal_alone_plays_the_run_again_plain_or_compressed(config, tmp_path):
    first = evaluate(config("static", "round_robin"))
    (journal,) = measuring.FOLDER.iterdir()
    packed = tmp_path / "run.jsonl.gz"
    packed.write_bytes(gzip.compress(journal.read_bytes()))
    for path in (journal, packed):
        again = config("static", "round_robin")
        again.backend = {"name": "recorded", "path": str(path)}
        found = evaluate(again)
        assert found.queries.equals(first.queries)
        assert found.summary["energy_method"] == "measured"
    assert TableEngine.opened == 1


@pytest.mark.parametrize(
    ("kept", "message"),
    [(0, "no measured work"), (3, "'optimal, seed 0' ends on llama2_70b.* before piece 2, .*serve")],
)
def test_a_journal_that_ends_too_soon_names_the_run_and_the_piece(config, kept, message):
    evaluate(config("static"))
    (journal,) = measuring.FOLDER.iterdir()
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:kept]))
    again = config("static")
    again.backend = {"name": "recorded", "path": str(journal)}
    with pytest.raises(InputError, match=message):
        evaluate(again)


def test_a_journal_that_is_none_is_refused(config, tmp_path):
    def written(line):
        path = tmp_path / f"{len(line)}.jsonl"
        path.write_text(f"{line}\n")
        return path

    named = {"run": "optimal, seed 1", "deployment": "one", "number": 0}
    other = json.dumps({"kind": "work", **named, "asked": {}, "took": {}})
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"kind": "work"}\n' * 50)[:-12])
    for path, message in (
        (None, "backend.path"),
        ("nowhere", "no such journal"),
        (tmp_path, "cannot be read"),
        (torn, "cannot be read"),
        (written("3"), "line 1: .*expected a JSON object"),
        (written('{"x": 1}'), "entry 1: it has no kind"),
        (written('{"kind": "work", "run": "a"}'), "entry 1: it has no deployment and no number"),
        (written('{"kind": "routes", "run": "optimal, seed 0"}'), "no deployments and no chosen"),
        (written('{"kind": "trial"}'), "no measured work is in it"),
        (written(f"{other}\n{other}"), "entry 2: piece 0 of 'optimal, seed 1' on one is there twice"),
        (written(other), "no run 'optimal, seed 0'. Did you mean 'optimal, seed 1'"),
    ):
        again = config("static")
        again.backend = {"name": "recorded", "path": None if path is None else str(path)}
        with pytest.raises(InputError, match=message):
            evaluate(again)


def test_what_is_made_of_a_run_does_not_move_its_journal():
    words = ["task=compare", "baselines=[random]", "slo.ttft_s=1", "replications=3", "report=figures"]
    assert load_config(words).work_sha256() == load_config().work_sha256()
    assert load_config(["fleet.serving.max_batch=3"]).work_sha256() != load_config().work_sha256()


@pytest.mark.parametrize("policy", ["optimal", "least_loaded"])
def test_a_whole_run_stays_what_it_was_where_the_policy_would_choose_otherwise_now(
    config, monkeypatch, policy
):
    def wanted():
        composed = config("static", models="llama2_70b,bloom_176b")
        composed.policy = {"name": policy}
        return composed

    first = evaluate(wanted())
    (journal,) = measuring.FOLDER.iterdir()
    (routes,) = [
        entry for entry in map(json.loads, journal.read_text().splitlines()) if entry["kind"] == "routes"
    ]
    assert routes["run"] == f"{policy}, seed 0"
    assert set(routes["chosen"]) == {0, 1}

    def other(*_):
        raise AssertionError("a policy was asked again")

    monkeypatch.setattr(LeastLoaded, "route", other)
    monkeypatch.setattr(Optimal, "plan", lambda *_: Plan(np.zeros(len(routes["chosen"]), dtype=np.int64)))
    again = evaluate(wanted())
    assert again.queries.equals(first.queries)

    def cannot(*_):
        raise InputError("no plan keeps the limits by the curves of today")

    monkeypatch.setattr(Optimal, "plan", cannot)
    assert evaluate(wanted()).queries.equals(first.queries)
    journal.write_text(journal.read_text().replace('"chosen": [', '"chosen": [1, '))
    with pytest.raises(InputError, match="queries were measured"):
        evaluate(wanted())


@pytest.mark.parametrize(
    ("discipline", "models", "said"),
    [
        ("static", "llama2_70b", "x static.*clock=simulated"),
        ("continuous", "llama2_70b,bloom_176b", "one deployment.*bloom_176b@a100_80gb: .* x continuous"),
    ],
)
def test_what_the_wall_clock_cannot_run_is_refused(config, discipline, models, said):
    composed = config(discipline, models=models)
    composed.clock = "wall"
    with pytest.raises(InputError, match=said):
        evaluate(composed)


def test_a_clock_needs_something_that_takes_time():
    with pytest.raises(InputError, match="runs nothing that takes time"):
        evaluate(load_config([*WORDS, "clock=wall"]))
    with pytest.raises(InputError, match=r"clock=wal: .*wall"):
        load_config(["clock=wal"])
