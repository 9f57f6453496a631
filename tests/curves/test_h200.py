"""The H200's phase curves: the errors that they are held to, left out and on settings measured to check."""

import numpy as np
import pytest

from llmsim import trials
from llmsim.curves import library
from llmsim.curves.phase_check import checks
from llmsim.curves.select import rows_of

MODELS = ["llama2-7b", "llama2-13b", "llama3_1_8b", "mistral-7b", "qwen2_5_7b", "qwen2_5_32b", "mixtral-8x7b"]
MOST_PCT = {"decode_energy": 2.0, "decode": 4.0, "prefill_energy": 4.0, "prefill": 6.0}


@pytest.fixture(scope="module")
def shipped():
    return trials.shipped().where(system="h200")


@pytest.fixture(scope="module")
def fitted(shipped):
    return {model: library.fit(shipped, system="h200", model=model) for model in MODELS}


# The library's products of experts' rows take by turns more and less time from 200 to 1,250 tokens, by 15 %,
# and how many experts a prompt of a few tokens reaches is chance: no smooth curve follows either.
MISSED = pytest.mark.xfail(strict=True, reason="misses 4 %: 6.0 % left out, 7.5 % on checks")
CASES = [
    pytest.param(model, part, marks=MISSED if (model, part) == ("mixtral-8x7b", "prefill_energy") else ())
    for model in MODELS
    for part in MOST_PCT
]


@pytest.mark.parametrize(("model", "part"), CASES)
def test_each_phase_is_predicted_within_its_target_left_out(fitted, model, part):
    assert fitted[model].provenance["curves"][part]["loco_mape_pct"] <= MOST_PCT[part]


@pytest.mark.parametrize(("model", "part"), CASES)
def test_settings_between_those_fitted_are_predicted_within_the_same(shipped, fitted, model, part):
    found = checks(shipped, rows_of(shipped, "h200", model), fitted[model].curve)
    assert found[part] <= MOST_PCT[part]


def test_a_query_errs_no_more_than_the_worse_of_its_phases_which_is_what_is_said(fitted):
    error = fitted["llama2-7b"].provenance["left_out_error"]
    assert error["energy_mape_pct"] == max(error["decode_energy_mape_pct"], error["prefill_energy_mape_pct"])
    assert error["runtime_mape_pct"] == max(error["decode_time_mape_pct"], error["prefill_time_mape_pct"])


def test_only_the_mixture_of_experts_is_found_to_be_one(fitted):
    routed = {model for model, curve in fitted.items() if curve.curve.decode_time.form.routed}
    assert routed == {"mixtral-8x7b"}


def test_no_phase_costs_less_than_nothing_and_none_draws_more_than_its_board(fitted):
    batch, context = (axis.ravel() for axis in np.meshgrid(2 ** np.arange(8), 2 ** np.arange(4, 14)))
    for fit in fitted.values():
        steps = fit.curve.decode(batch, batch * context, 100)
        passes = fit.curve.prefill(context[:, None])
        for cost in (steps, passes):
            assert (cost.runtime_s > 0).all()
            watts = cost.energy_j / cost.runtime_s
            assert (watts > 122).all()
            assert (watts < 1.03 * 700).all()
