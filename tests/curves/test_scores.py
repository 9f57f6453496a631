"""The figures that the shipped curves are held to, on trials that they were not fitted to."""

from collections import defaultdict

import numpy as np
import pytest

from llmsim import trials
from llmsim.curves import choice
from llmsim.curves.scores import scores
from llmsim.curves.transfer import contended, noise_floor


@pytest.fixture(scope="module")
def shipped():
    return trials.shipped()


@pytest.fixture(scope="module")
def records(shipped):
    single = shipped.take(~shipped["kv_cache"])
    return list(scores(single))


@pytest.fixture(scope="module")
def grid(records):
    chosen = defaultdict(list)
    for record in records:
        if record["system"] == "swing-a100" and record["chosen"]:
            chosen[record["target"]].append(record)
    return chosen


@pytest.mark.parametrize(("target", "mean", "worst"), [("energy", 4.0, 8.0), ("runtime", 2.5, 8.0)])
def test_left_out_errors_on_the_grid_of_seven_models(grid, target, mean, worst):
    errors = [record["loco_mape_pct"] for record in grid[target]]
    assert len(errors) == 7
    assert np.mean(errors) <= mean
    assert max(errors) <= worst
    assert min(record["loco_r2"] for record in grid[target]) > 0.99


@pytest.mark.parametrize(("target", "most"), [("energy", 7.0), ("runtime", 5.0)])
@pytest.mark.parametrize("experiment", ["input", "output"])
def test_the_grids_curves_carry_over_to_the_other_experiments(grid, target, most, experiment):
    assert np.mean([record["transfer"][experiment] for record in grid[target]]) <= most


def test_intervals_cover_what_they_say_at_a_useful_width(records):
    chosen = [record for record in records if record["chosen"]]
    covered = sum(r["n"] * r["interval_coverage_pct"] for r in chosen) / sum(r["n"] for r in chosen)
    assert 85 <= covered <= 95
    for record in chosen:
        assert 75 <= record["interval_coverage_pct"] <= 100
        assert record["interval_half_width_pct"] <= 3 * record["loco_mape_pct"]


def test_only_the_papers_form_predicts_below_zero(records):
    below = {record["form"]: 0 for record in records}
    for record in records:
        below[record["form"]] += record["negative_predictions"]
    assert below.pop("interaction") > 1000
    assert set(below.values()) == {0}


def test_the_papers_form_errs_as_it_was_found_to(records):
    paper = [r for r in records if r["system"] == "swing-a100" and r["form"] == "interaction"]
    mean = {
        t: np.mean([r["loco_mape_pct"] for r in paper if r["target"] == t]) for t in ("energy", "runtime")
    }
    assert mean == pytest.approx({"energy": 237, "runtime": 160}, abs=1)


def test_one_form_is_chosen_for_all_models_of_a_system(records):
    chosen = defaultdict(set)
    for record in records:
        if record["chosen"]:
            chosen[record["system"], record["target"]].add(record["form"])
    assert all(len(forms) == 1 for forms in chosen.values())


def test_the_shipped_choices_are_of_the_shipped_trials(shipped, tmp_path):
    single = shipped.take(~shipped["kv_cache"])
    small = single.where(system="palmetto-v100")
    choice.write_choices(small, tmp_path / "choices.yaml")
    fresh = (tmp_path / "choices.yaml").read_text().splitlines()[1:]
    shipped_lines = choice.FILE.read_text().splitlines()
    start = shipped_lines.index(fresh[0])
    assert shipped_lines[start : start + len(fresh)] == fresh
    for system in single.distinct("system"):
        assert f"system: {system}" in choice.FILE.read_text()


def test_contended_runs_are_found_by_a_faster_warm_up_at_the_same_joules(shipped):
    rows = shipped.where(system="swing-a100", model="llama2-7b", experiment="output")
    assert set(rows["tau_out"][contended(rows)].tolist()) == {4096}
    rows = shipped.where(system="swing-a100", model="mistral-7b", experiment="output")
    assert not contended(rows).any()


def test_the_noise_floor_is_that_of_repeats_and_absent_without_any(shipped):
    grid = shipped.usable().where(system="swing-a100", experiment="independence")
    falcon = grid.where(model="falcon-40b")
    assert noise_floor(falcon, "energy").median_cv_pct == pytest.approx(1.8, abs=0.05)
    assert noise_floor(falcon, "runtime").median_cv_pct == pytest.approx(0.46, abs=0.05)
    once = noise_floor(grid.where(model="llama2-7b"), "energy")
    assert once.median_cv_pct is None
    assert "no setting was measured twice" in once.absent_because
    copies = noise_floor(shipped.usable().where(system="dgx-a100-80gb", model="bloom-176b"), "energy")
    assert copies.median_cv_pct is None
