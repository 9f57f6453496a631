import dataclasses
from types import SimpleNamespace

import pytest
from rich.console import Console

from llmsim.api import load_config
from llmsim.backends import BACKENDS
from llmsim.curves.headroom import LEAST_CELLS
from llmsim.errors import InputError
from llmsim.measurement import design
from llmsim.tasks import characterize, doctor
from llmsim.tasks.characterize import GENERATIONS, Characterize
from llmsim.tasks.doctor import Doctor
from llmsim.trials import read
from tests.measurement.made_up import SteadyMeter

CHOICE = ["task=characterize", "hardware=h200", "model=llama3_1_8b"]


@pytest.fixture
def config(monkeypatch, tmp_path):
    made_up = dataclasses.replace(
        BACKENDS, built_in={**BACKENDS.built_in, "made_up": "tests.measurement.made_up:MadeUpBackend"}
    )
    monkeypatch.setattr(characterize, "BACKENDS", made_up)
    monkeypatch.setattr(characterize, "measure_idle", lambda *_: {"sum_w": 80.0})
    monkeypatch.setattr(characterize, "open_meters", lambda *_: ([SteadyMeter()], []))
    monkeypatch.chdir(tmp_path)
    loaded = load_config(CHOICE)
    loaded.backend = {"name": "made_up"}
    return loaded


def quick(**settings):
    given = {"window_s": 0.0, "settle_s": 0.0, "decode_batch": [1, 8], "decode_context": [64, 2048]}
    return Characterize(**{**given, "prefill_tokens": [1, 512], **settings})


def test_trials_can_be_read_back_by_the_task_that_fits(config, tmp_path):
    found = quick(prefill_tokens=[1, 512, 8192]).run(config)
    assert found.finished
    assert "out_of_memory" in {record["outcome"] for record in found.records}
    found.show(Console(record=True))
    found.save(tmp_path)
    assert found.objective >= 0
    trials = read(tmp_path / "trials.csv")
    assert set(trials["experiment"].tolist()) == {"prefill", "decode", "generation"}
    assert trials["energy_j"] == pytest.approx(250 * trials["runtime_s"])
    assert trials.distinct("system") == ["h200"]


def test_it_ends_with_a_fit_and_its_error(config):
    levels = [8, 32, 128, 512]
    found = quick(kv_cache=False, design="grid", tau_in=levels, tau_out=levels).run(config)
    console = Console(record=True, width=120)
    found.show(console)
    assert "error %" in console.export_text()
    assert {record["target"] for record in found.fitting.records} == {"energy", "runtime"}
    few = quick(prefill_tokens=[1], decode_batch=[], decode_context=[]).run(config)
    assert few.fitting is None
    assert any(note.startswith("No curve yet") for note in few.notes)


def test_the_same_command_goes_on_with_its_journal(config):
    first = quick().run(config)
    again = quick().run(config)
    assert len(again.trials) == len(first.trials)
    wider = quick(prefill_tokens=[1, 512, 1024]).run(config)
    assert len(wider.trials) > len(first.trials)


def test_what_does_not_fit_is_shown_as_an_outcome(config):
    found = quick(decode_context=[64, 8000]).run(config)
    console = Console(record=True, width=120)
    found.show(console)
    assert "out_of_memory" in console.export_text()


def test_two_models_at_once_are_refused(config):
    config.model = {"a": {}, "b": {}}
    with pytest.raises(InputError, match="one at a time"):
        quick().run(config)


def test_a_backend_that_measures_nothing_is_refused(config):
    config.backend = {"name": "simulator"}
    with pytest.raises(InputError, match="measures nothing"):
        quick().run(config)


def test_a_backend_that_is_not_installed_says_how_to(config, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    config.backend = {"name": "torch"}
    with pytest.raises(InputError, match="pip install"):
        quick().run(config)


def test_without_a_cache_the_lengths_must_be_given(config):
    with pytest.raises(InputError, match=r"task\.tau_in"):
        quick(kv_cache=False).run(config)
    found = quick(kv_cache=False, tau_in=[8, 64], tau_out=[8, 32]).run(config)
    assert {row["experiment"] for row in found.trials} == {"generation"}
    assert not any(row["kv_cache"] for row in found.trials)


def test_generations_are_measured_where_the_levels_of_both_phases_reach():
    model = SimpleNamespace(name="m", context_tokens=131_072)

    def measured(**settings):
        cells = Characterize(**settings).cells(model)
        return [(cell.batch, cell.tau_in, cell.tau_out) for cell in cells if cell.experiment == "generation"]

    assert measured() == sorted(GENERATIONS)
    assert len(GENERATIONS) > LEAST_CELLS
    assert measured(generation=None) == []
    assert measured(generation=[[2, 64, 8]]) == [(2, 64, 8)]
    assert measured(prefill_tokens=[1, 512], decode_batch=[1, 8]) == [(1, 120, 9), (1, 250, 9), (1, 500, 13)]
    assert measured(decode_batch=[], decode_context=[]) == []
    assert measured(kv_cache=False, tau_in=[8], tau_out=[4]) == [(1, 8, 4)]
    assert load_config(CHOICE).task["generation"] == [list(size) for size in GENERATIONS]
    for wrong in ([1, 64], [1, 64, 1], [0, 64, 8]):
        with pytest.raises(InputError, match=r"\[batch, tau_in, tau_out\]"):
            measured(generation=[wrong])


def test_a_meter_that_cannot_be_read_leaves_energy_absent_with_the_reason(config, monkeypatch):
    monkeypatch.undo()
    config.meter = {"name": "tdp"}
    meters, notes = characterize.open_meters(config)
    assert meters == []
    assert "allow_estimate" in notes[0]
    remote = SimpleNamespace(elsewhere=True)
    assert "elsewhere" in characterize.open_meters(config, remote)[1][0]


def test_a_checkerboard_keeps_every_level_and_the_corners():
    first, second = [1, 2, 4, 8, 16], [64, 128, 256, 512]
    grid, half = (set(design.choose(name, first, second)) for name in ("grid", "checkerboard"))
    assert half < grid
    assert len(half) <= len(grid) * 0.65
    assert {a for a, _ in half} == set(first)
    assert {b for _, b in half} == set(second)
    assert {(1, 64), (1, 512), (16, 64), (16, 512)} <= half
    with pytest.raises(InputError, match="checkerboard"):
        design.choose("chequerboard", first, second)


def test_the_doctor_names_every_meter_and_backend_and_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "IDLE_WINDOW_S", 0.05)
    monkeypatch.setattr(doctor, "IDLE_REST_S", 0.0)
    config = load_config(["task=doctor"])
    config.meter = {"name": "tdp", "allow_estimate": True, "tdp_w": 65.0}
    found = Doctor().run(config)
    by_name = {finding["name"]: finding for finding in found.findings}
    assert set(by_name) >= {"nvml", "rapl", "tdp", "zeus", "simulator", "torch"}
    assert by_name["tdp"]["state"] == "available"
    assert "estimated" in by_name["tdp"]["detail"]
    assert all(finding["detail"] for finding in found.findings)
    found.save(tmp_path)
    assert (tmp_path / "doctor.json").exists()


def test_the_doctor_loads_the_chosen_model(config, monkeypatch):
    monkeypatch.setattr(doctor, "IDLE_WINDOW_S", 0.05)
    monkeypatch.setattr(doctor, "IDLE_REST_S", 0.0)
    monkeypatch.setattr(doctor, "BACKENDS", characterize.BACKENDS)
    config.meter = {"name": "tdp", "allow_estimate": True, "tdp_w": 65.0}
    (found,) = [item for item in Doctor().run(config).findings if item["name"] == "tdp"]
    assert "bare:" in found["detail"]
    assert "with llama3_1_8b loaded by made_up: cpu draws" in found["detail"]


def test_the_settings_in_yaml_are_the_tasks_own_defaults():
    node = load_config(["task=characterize"]).task
    assert {**dataclasses.asdict(Characterize()), "name": "characterize"} == node
    assert {**dataclasses.asdict(Doctor()), "name": "doctor"} == load_config(["task=doctor"]).task
