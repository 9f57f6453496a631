"""The thesis' tables from its own rows: every printed digit, and every place where print is wrong."""

import numpy as np
import pytest

from llmsim.curves import anova
from llmsim.curves.wilkins_tables import (
    agrees_with_print,
    table_5_1,
    table_5_1_by_model,
    table_5_2,
    table_5_3,
)


@pytest.fixture(scope="module")
def analyses():
    return table_5_1()


def test_every_coefficient_agrees_to_the_printed_digits_but_mistrals_misprint():
    records = table_5_2()
    assert len(records) == 42
    differing = [r for r in records if not r["agrees"]]
    assert [(r["model"], r["target"], r["coefficient"]) for r in differing] == [
        ("mistral-7b", "runtime", "c2")
    ]
    assert differing[0]["ours"] == pytest.approx(8.763e-5, rel=1e-4)
    assert differing[0]["note"].startswith("misprint")


def test_every_r2_and_f_agrees_with_its_own_intercept_setting_but_one_misprint():
    records = table_5_3()
    assert len(records) == 14
    assert all(r["f_agrees"] for r in records)
    assert [(r["model"], r["target"]) for r in records if not r["r2_agrees"]] == [("llama2-7b", "runtime")]
    assert {r["model"] for r in records if r["intercept"]} == {"falcon-7b", "mistral-7b", "mixtral-8x7b"}
    assert max(r["mape_pct"] for r in records) == pytest.approx(375.3, abs=0.1)


def test_pooling_seven_models_hides_the_interaction_in_energy(analyses):
    found = {(r["target"], r["sample"].split(" (")[0].split(",")[0], r["factor"]): r for r in analyses[::-1]}
    seven = found["energy", "all seven", "tau_in:tau_out"]
    assert (seven["f"], seven["p"]) == (pytest.approx(0.97, abs=0.005), pytest.approx(0.55, abs=0.005))
    assert found["energy", "all seven", "tau_in"]["f"] == pytest.approx(4.04, abs=0.005)
    assert found["energy", "all seven", "tau_out"]["f"] == pytest.approx(43.6, abs=0.05)
    assert found["runtime", "all seven", "tau_in:tau_out"]["p"] == pytest.approx(0.018, abs=0.0005)
    three = found["energy", "three 7B models", "residual"]
    assert three["df"] == 162
    assert found["energy", "three 7B models", "tau_in:tau_out"]["p"] < 1e-12


def test_on_the_log_with_the_model_as_a_factor_the_interaction_shows(analyses):
    better = [r for r in analyses if "log" in r["sample"] and r["factor"] == "tau_in:tau_out"]
    assert all(r["p"] < 1e-10 for r in better)


def test_in_each_model_alone_the_interaction_is_plain():
    records = [r for r in table_5_1_by_model() if not r["log"]]
    assert len(records) == 14
    assert all(r["p"] < 1e-20 and r["partial_eta2"] > 0.9 for r in records)


def test_an_analysis_finds_the_effects_it_was_given():
    rng = np.random.default_rng(2)
    tau_in, tau_out = (axis.ravel() for axis in np.meshgrid(2 ** np.arange(3, 9), 2 ** np.arange(3, 9)))
    flat = 10 + rng.standard_normal(len(tau_in))
    assert all(effect.p is None or effect.p > 0.001 for effect in anova.of_model(tau_in, tau_out, flat))
    sloped = flat + 3 * np.log2(tau_in)
    by_factor = {effect.factor: effect for effect in anova.of_model(tau_in, tau_out, sloped)}
    assert by_factor["tau_in"].p < 1e-10
    assert by_factor["tau_out"].p > 0.001


@pytest.mark.parametrize(
    ("value", "text", "agrees"),
    [(-8.80829, "-8.81", True), (-8.8151, "-8.81", False), (1072.6, "1073", True), (1072.4, "1073", False)],
)
def test_agreement_is_to_the_last_printed_digit(value, text, agrees):
    assert agrees_with_print(value, text) is agrees
