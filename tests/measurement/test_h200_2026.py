"""The shipped campaigns: what must hold of any, and what each says of its cards."""

import csv
from collections import defaultdict

import numpy as np
import pytest

from llmsim.trials import read, shipped
from llmsim.trials.read import FOLDER

POWER_LIMIT_W = 700
REPEATS = 5  # of a setting that curves are fitted to, at least
CELL = ("model", "kv_cache", "experiment", "batch", "tau_in", "tau_out")


@pytest.fixture(scope="module", params=["h200_2026", "h200_one_card"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def trials(name):
    return read(FOLDER / f"{name}.csv")


def test_every_cell_has_its_repeats_and_none_twice(trials):
    cells = defaultdict(list)
    fitted = trials.where(quality="ok")
    for *key, repeat in zip(*(fitted[column].tolist() for column in (*CELL, "repeat")), strict=True):
        cells[tuple(key)].append(repeat)
    assert all(sorted(repeats) == list(range(len(repeats))) for repeats in cells.values())
    assert min(map(len, cells.values())) >= REPEATS


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


def test_no_decode_step_is_faster_than_reading_its_weights_and_cache(trials):
    trials = trials.where(model="llama2-7b", experiment="decode")
    tokens = trials["batch"] * (trials["tau_in"] + 1)
    read_bytes = 13_214_572_544 + tokens * 524_288
    assert (trials["decode_step_s"] > read_bytes / 4.8e12).all()


def test_every_row_has_its_window(trials, name):
    with (FOLDER / f"{name}_windows.csv").open() as file:
        windows = list(csv.DictReader(file))
    assert [int(window["row"]) for window in windows] == list(range(len(trials)))
    watts = np.array([float(window["power_w"]) for window in windows])
    assert watts * trials["runtime_s"] == pytest.approx(trials["energy_j"], rel=1e-3)


def test_the_anchors_say_how_far_the_two_earlier_cards_are_apart():
    trials = read(FOLDER / "h200_2026.csv")
    anchors = trials.where(quality="anchor", experiment="anchor_decode", batch=1)
    assert len(trials.where(quality="anchor").usable()) == 0
    joules = {
        source: anchors.where(source=source)["energy_j"].mean() for source in anchors.distinct("source")
    }
    assert joules["h200_2026 card b"] / joules["h200_2026 card a"] == pytest.approx(1.189, abs=0.002)


def test_what_is_fitted_of_a_model_is_of_one_card():
    fitted = shipped().usable().where(system="h200")
    sources = defaultdict(set)
    for model, cached, source in zip(
        *(fitted[column].tolist() for column in ("model", "kv_cache", "source")), strict=True
    ):
        sources[model, cached].add(source)
    assert {len(cards) for cards in sources.values()} == {1}
    assert len({model for model, cached in sources if cached}) == 7
