import dataclasses
import json
import math

import numpy as np
import pytest

from llmsim.measurement.campaign import Campaign, Pace, Subject, energy_of
from llmsim.measurement.cell import Cell
from llmsim.measurement.contract import Reading
from llmsim.measurement.journal import Journal
from llmsim.measurement.rows import row, rows
from llmsim.trials.schema import NAMES
from tests.measurement.made_up import SteadyMeter, TableBench

SUBJECT = Subject("node", "model", 1, "bf16", "none", True, "test")
CELLS = [Cell("decode", 1, 64, 17), Cell("decode", 8, 64, 17), Cell("prefill", 1, 512, 1)]
QUICK = Pace(window_s=0.0, settle_s=0.0, per_visit=2)


def seconds(cell):
    return 0.001 * cell.batch * cell.tokens


def run(path, cells=CELLS, bench=None, meters=None, **settings):
    meters = [SteadyMeter()] if meters is None else meters
    bench = TableBench(seconds) if bench is None else bench
    with Journal(path) as journal:
        campaign = Campaign(SUBJECT, journal, meters, **{"pace": QUICK, **settings})
        finished = campaign.run(bench, cells, np.random.default_rng(0))
        return finished, list(journal.entries)


def test_every_cell_is_measured_until_it_is_known(tmp_path):
    finished, entries = run(tmp_path / "j")
    assert finished
    assert {cell: sum(entry["cell"] == vars(cell) for entry in entries) for cell in CELLS} == dict.fromkeys(
        CELLS, 5
    )


def test_joules_are_watts_times_the_seconds_of_one_execution(tmp_path):
    _, entries = run(tmp_path / "j", meters=[SteadyMeter(watts=200)])
    for entry in entries:
        assert entry["runtime_s"] == pytest.approx(seconds(Cell(**entry["cell"])))
        assert entry["energy_j"] == pytest.approx(200 * entry["runtime_s"])


def test_the_same_command_goes_on_where_it_was_cut_off(tmp_path):
    _, whole = run(tmp_path / "whole")
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").write_bytes(b"".join(lines[:7]) + lines[7][:20])
    finished, entries = run(tmp_path / "cut")
    assert finished
    assert len(entries) == len(whole)
    pairs = [(json.dumps(entry["cell"]), entry["repeat"]) for entry in entries]
    assert len(set(pairs)) == len(pairs)


def test_a_finished_campaign_runs_nothing(tmp_path):
    run(tmp_path / "j")
    bench = TableBench(seconds)
    assert run(tmp_path / "j", bench=bench)[0]
    assert bench.prepared == []


def test_another_subjects_trials_do_not_count(tmp_path):
    run(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        other = Campaign(dataclasses.replace(SUBJECT, model="other"), journal, [])
        assert not other.done(CELLS[0])


def test_a_marked_cell_is_in_no_fit(tmp_path):
    _, entries = run(tmp_path / "j", marks={CELLS[1]: "check"})
    found = {(row["batch"], row["experiment"], row["quality"]) for row in rows(entries)}
    assert found == {(1, "decode", "ok"), (8, "decode_check", "check"), (1, "prefill", "ok")}


def test_noise_is_answered_with_repeats(tmp_path):
    bench = TableBench(seconds, np.random.default_rng(1), spread=0.05)
    _, entries = run(tmp_path / "j", CELLS[:1], bench)
    assert 5 < len(entries) <= 25


def test_out_of_memory_is_an_outcome_and_is_not_tried_again(tmp_path):
    bench = TableBench(seconds, most_tokens=500)
    finished, entries = run(tmp_path / "j", bench=bench)
    assert finished
    lost = [entry for entry in entries if entry["outcome"] == "out_of_memory"]
    assert sorted(entry["cell"]["tau_in"] for entry in lost) == [64, 512]
    assert all(entry["energy_j"] is None and "do not fit" in entry["warnings"][0] for entry in lost)
    assert len(rows(entries)) == len(entries) - 2


def test_no_trial_begins_after_the_deadline(tmp_path):
    finished, entries = run(tmp_path / "j", pace=dataclasses.replace(QUICK, deadline_s=0.0))
    assert not finished
    assert entries == []


def test_a_hot_device_rests_before_a_visit(tmp_path, monkeypatch):
    rested = []
    monkeypatch.setattr("llmsim.measurement.campaign.time.sleep", rested.append)
    run(tmp_path / "j", CELLS[:1], meters=[SteadyMeter(temperature_c=90)])
    assert rested == [QUICK.cool_s] * 3


def test_energy_that_one_source_lacks_is_absent_not_short(tmp_path):
    _, entries = run(tmp_path / "j", meters=[SteadyMeter(), SteadyMeter(watts=None)])
    assert all(entry["energy_j"] is None for entry in entries)


def test_without_a_meter_there_is_time_and_no_energy(tmp_path):
    _, entries = run(tmp_path / "j", meters=[])
    assert all(row["scope"] == "none" and math.isnan(row["energy_j"]) for row in rows(entries))


def test_rows_have_the_columns_of_the_table_of_trials(tmp_path):
    _, entries = run(tmp_path / "j")
    assert all(tuple(found) == NAMES for found in rows(entries))


def test_an_estimate_in_a_sum_makes_it_an_estimate(tmp_path):
    _, entries = run(tmp_path / "j", CELLS[:1])
    entries[0]["readings"].append({"method": "estimated", "scope": "cpu_packages"})
    assert rows(entries)[0]["method"] == "estimated"
    assert rows(entries)[0]["scope"] == "cpu_packages+gpu_boards"


def test_warnings_name_their_source():
    reading = Reading("gpu0", "gpu_boards", "measured", "x", None, None, 1.0, warnings=("frozen",))
    assert energy_of([reading], 1.0) == (None, ["gpu0: frozen"])


@pytest.mark.parametrize(
    ("experiment", "tau_out", "known_s", "phases_s"),
    [
        ("generation", 5, 0.25, (0.25, 0.5)),
        ("generation", 1, 0.25, (0.25, None)),
        ("generation", 5, None, (None, None)),
        ("prefill", 1, None, (2.25, None)),
        ("decode", 10, None, (None, 0.25)),
    ],
)
def test_a_row_states_the_phases_that_its_trial_told_apart(experiment, tau_out, known_s, phases_s):
    entry = {
        "cell": vars(Cell(experiment, 1, 8, tau_out)), "subject": vars(SUBJECT), "repeat": 0,
        "outcome": "completed", "runtime_s": 2.25, "energy_j": None, "tokens": tau_out, "readings": [],
    }  # fmt: skip
    if known_s is not None:
        entry["prefill_s"] = known_s
    found = row(entry)
    told = (found["prefill_s"], found["decode_step_s"])
    assert told == pytest.approx([math.nan if x is None else x for x in phases_s], nan_ok=True)
