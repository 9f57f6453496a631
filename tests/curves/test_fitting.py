"""lmfit's answer, the refits' answer, and the truth."""

import numpy as np
import pytest

from llmsim import trials
from llmsim.curves import fitting
from llmsim.curves.forms import build


@pytest.fixture(scope="module")
def grid():
    rows = trials.shipped().usable().where(system="swing-a100", experiment="independence")
    return rows.where(model="llama2-13b")


@pytest.mark.parametrize("name", ["interaction", "recompute", "roofline"])
@pytest.mark.parametrize("column", ["energy_j", "runtime_s"])
def test_a_refit_without_some_cells_equals_lmfits_fresh_fit(grid, name, column):
    form = build(name)
    measured = grid[column]
    design = form.design(grid["tau_in"], grid["tau_out"])
    whole = fitting.fit(form, design, measured, "J")
    for left_out in (np.arange(80) == 3, np.arange(80) == 79, grid["tau_in"] == grid["tau_in"][40]):
        rest = grid.take(~left_out)
        fresh = fitting.fit(form, form.design(rest["tau_in"], rest["tau_out"]), rest[column], "J")
        again = fitting.refit(form, design, measured, whole.theta, ~left_out)
        np.testing.assert_allclose(
            design.evaluate(again)[0], design.evaluate(fresh.theta)[0], rtol=1e-4, atol=1e-3
        )


def test_lmfit_itself_arrives_where_the_refit_ends(grid):
    form = build("roofline")
    design = form.design(grid["tau_in"], grid["tau_out"])
    fit = fitting.fit(form, design, grid["runtime_s"], "s")
    reported = {
        line.split(":")[0].strip(): float(line.split(":")[1].split("+/-")[0])
        for line in fit.report.split("[[Variables]]")[1].split("[[")[0].splitlines()
        if ":" in line
    }
    names = [parameter.name for parameter in form.parameters()]
    np.testing.assert_allclose([reported[name] for name in names], fit.theta, rtol=1e-4)


def test_known_parameters_are_found_again_from_noisy_trials():
    rng = np.random.default_rng(1)
    form = build("roofline")
    tau_in, tau_out = (axis.ravel() for axis in np.meshgrid(2 ** np.arange(3, 12), 2 ** np.arange(3, 12)))
    truth = np.array([0.03, 0.09, 0.01, 0.05, 2.5])
    design = form.design(tau_in, tau_out)
    measured = design.evaluate(truth)[0] * (1 + 0.01 * rng.standard_normal(len(tau_in)))
    fit = fitting.fit(form, design, measured, "s")
    error = np.sqrt(np.diag(fit.covariance))
    assert (np.abs(fit.theta - truth) < 4 * error).all()
    assert fit.scatter == pytest.approx(0.01, rel=0.3)
