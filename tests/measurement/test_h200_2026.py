"""The shipped campaign: what must hold of any, and what this one says of its two cards."""

import csv

import numpy as np
import pytest

from llmsim.trials import read
from llmsim.trials.shipped import FOLDER

POWER_LIMIT_W = 700


@pytest.fixture(scope="module")
def trials():
    return read(FOLDER / "h200_2026.csv")


def test_every_cell_has_five_repeats_at_least_and_none_twice(trials):
    cells = {}
    fitted = trials.where(quality="ok")
    names = ("model", "kv_cache", "experiment", "batch", "tau_in", "tau_out")
    keys = zip(*(fitted[name].tolist() for name in names), strict=True)
    for key, repeat in zip(keys, fitted["repeat"].tolist(), strict=True):
        cells.setdefault(key, []).append(repeat)
    assert all(
        sorted(repeats) == list(range(len(repeats))) and len(repeats) >= 5 for repeats in cells.values()
    )


def test_power_lies_between_idle_and_the_limit(trials):
    watts = trials["energy_j"] / trials["runtime_s"]
    assert watts.min() > 130
    # The counter's updates and the limit's own averaging differ by some percent from window to window.
    assert watts.max() < 1.12 * POWER_LIMIT_W


def test_phases_are_apart_and_add_up(trials):
    decode = trials.where(experiment="decode")
    assert decode["decode_step_s"] * (decode["tau_out"] - 1) == pytest.approx(decode["runtime_s"], rel=1e-6)
    assert np.isnan(decode["prefill_s"]).all()
    prefill = trials.where(experiment="prefill")
    assert prefill["prefill_s"] == pytest.approx(prefill["runtime_s"])
    assert (prefill["tau_out"] == 1).all()


def test_no_decode_step_is_faster_than_reading_its_weights_and_cache():
    trials = read(FOLDER / "h200_2026.csv").where(model="llama2-7b", experiment="decode")
    tokens = trials["batch"] * (trials["tau_in"] + 1)
    read_bytes = 13_214_572_544 + tokens * 524_288
    assert (trials["decode_step_s"] > read_bytes / 4.8e12).all()


def test_the_anchors_say_how_far_the_two_cards_are_apart(trials):
    anchors = trials.where(quality="anchor", experiment="anchor_decode", batch=1)
    assert len(trials.where(quality="anchor").usable()) == 0
    joules = {
        source: anchors.where(source=source)["energy_j"].mean() for source in anchors.distinct("source")
    }
    assert joules["h200_2026 card b"] / joules["h200_2026 card a"] == pytest.approx(1.189, abs=0.002)


def test_every_row_has_its_window(trials):
    with (FOLDER / "h200_2026_windows.csv").open() as file:
        windows = list(csv.DictReader(file))
    assert [int(window["row"]) for window in windows] == list(range(len(trials)))
    watts = np.array([float(window["power_w"]) for window in windows])
    assert watts * trials["runtime_s"] == pytest.approx(trials["energy_j"], rel=1e-3)
