"""task=evaluate over a measuring backend: real batches on the virtual clock, journalled."""

import dataclasses

import pytest

from llmsim.api import evaluate, load_config
from llmsim.backends import BACKENDS
from llmsim.errors import InputError
from llmsim.tasks import contest, measuring
from tests.measurement.made_up import SteadyMeter, TableEngine

WORDS = [
    "hardware=a100_80gb", "model=llama2_70b", "policy=optimal", "baselines=[round_robin]",
    "workload.limit=40", "fleet.serving.max_batch=8", "fleet.serving.batch_wait_s=1.0",
]  # fmt: skip


@pytest.fixture
def config(monkeypatch, tmp_path):
    made_up = dataclasses.replace(
        BACKENDS, built_in={**BACKENDS.built_in, "made_up": "tests.measurement.made_up:MadeUpBackend"}
    )
    monkeypatch.setattr(contest, "BACKENDS", made_up)
    monkeypatch.setattr("llmsim.tasks.evaluate.BACKENDS", made_up)
    monkeypatch.setattr(measuring, "open_meters", lambda *_: ([SteadyMeter()], []))
    monkeypatch.setattr("llmsim.measurement.grouped.LEAST_WINDOW_S", 0.0)
    monkeypatch.chdir(tmp_path)
    TableEngine.opened = 0

    def composed(discipline):
        loaded = load_config([*WORDS, f"fleet.serving.discipline={discipline}"])
        loaded.backend = {"name": "made_up"}
        return loaded

    return composed


@pytest.mark.parametrize("discipline", ["serial", "static"])
def test_batches_run_for_real_and_a_second_run_plays_the_journal(config, discipline):
    first = evaluate(config(discipline))
    summary = first.summary
    assert summary["energy_method"] == "measured"
    table = first.queries.to_pandas()
    served = table[table["end_s"].notna()]  # one is too long
    took = served["end_s"] - served["start_s"]
    assert (took >= 0.01 * served["tau_out"] + 1e-4 * served["tau_in"] - 1e-9).all()
    assert summary["energy_active_j"] == pytest.approx(served["energy_j"].sum())
    assert summary["energy_active_j"] > 0
    assert set(summary["baselines"]) == {"round_robin"}
    assert any("pieces of work were run on the device" in text for text in summary["warnings"])
    assert TableEngine.opened == 1
    again = evaluate(config(discipline))
    assert TableEngine.opened == 1  # no engine was needed
    assert again.summary["energy_active_j"] == summary["energy_active_j"]
    assert again.queries.to_pandas().equals(table)


def test_iterations_of_a_backend_that_runs_batches_only_are_refused(config):
    with pytest.raises(InputError, match="discipline=static"):
        evaluate(config("continuous"))
