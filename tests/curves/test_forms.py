"""Laws of the forms: sums are exact, derivatives are derivatives, nothing is negative."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.curves.context_sum import NODES, gauss_sum_rule
from llmsim.curves.fitting import fit
from llmsim.curves.forms import build, from_config
from llmsim.curves.roofline import Roofline
from llmsim.errors import InputError

BOUNDED = ["recompute", "roofline"]
tokens = st.integers(1, 32_768)
amount = st.floats(0, 100)
thetas = st.tuples(st.floats(1e-3, 100), amount, amount, amount, st.floats(1, 12)).map(np.array)


def step_by_step(theta, tau_in, tau_out):
    """The roofline's definition, term by term, in extended precision."""
    context = np.arange(tau_in, tau_in + tau_out, dtype=np.float64)
    return float(theta[3] + Roofline.step(theta, context)[0].astype(np.longdouble).sum())


@settings(max_examples=60, deadline=None)
@given(thetas, tokens, tokens)
def test_the_roofline_sums_every_step_to_1e_10(theta, tau_in, tau_out):
    value, _ = Roofline().design(np.array([tau_in]), np.array([tau_out])).evaluate(theta)
    assert value[0] == pytest.approx(step_by_step(theta, tau_in, tau_out), rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(thetas, st.lists(st.tuples(tokens, tokens), min_size=1, max_size=30))
def test_a_query_costs_the_same_whoever_is_predicted_with_it(theta, queries):
    tau_in, tau_out = np.array(queries).T
    value, _ = Roofline().design(tau_in, tau_out).evaluate(theta)
    for k, (a, b) in enumerate(queries):
        assert value[k] == pytest.approx(step_by_step(theta, a, b), rel=1e-10)


@given(st.integers(NODES + 1, 5_000), st.integers(0, 2 * NODES - 1))
@settings(max_examples=60, deadline=None)
def test_the_gauss_rule_is_exact_for_polynomials(n, degree):
    nodes, weights = gauss_sum_rule(np.array([n]))
    t = np.arange(n) / n
    assert weights[0] @ (nodes[0] / n) ** degree == pytest.approx((t**degree).sum(), rel=1e-11)


def test_recompute_is_its_sum_term_by_term():
    theta = np.array([0.3, 0.2, 0.1])
    for tau_in, tau_out in [(1, 1), (9, 8), (2134, 2048), (32_768, 32_768)]:
        c = np.arange(tau_in, tau_in + tau_out) / 1000
        value, _ = build("recompute").design(np.array([tau_in]), np.array([tau_out])).evaluate(theta)
        assert value[0] == pytest.approx((theta[0] + theta[1] * c + theta[2] * c**2).sum(), rel=1e-12)


@pytest.mark.parametrize("name", ["interaction", *BOUNDED])
def test_derivatives_agree_with_differences(name):
    form = build(name)
    design = form.design(np.array([9, 21, 541, 2134]), np.array([8, 2048, 64, 1]))
    theta = np.array([0.03, 0.09, 0.002, 0.02, 2.5][: len(form.parameters())])
    _, slope = design.evaluate(theta)
    for k in range(len(theta)):
        h = 1e-5 * theta[k]
        up, down = theta.copy(), theta.copy()
        up[k] += h
        down[k] -= h
        difference = (design.evaluate(up)[0] - design.evaluate(down)[0]) / (2 * h)
        np.testing.assert_allclose(slope[:, k], difference, rtol=1e-4)


@pytest.mark.parametrize("name", BOUNDED)
@given(theta=thetas, tau_in=tokens, tau_out=tokens)
@settings(max_examples=40, deadline=None)
def test_no_bounded_form_can_predict_below_zero(name, theta, tau_in, tau_out):
    form = build(name)
    value, _ = form.design(np.array([tau_in]), np.array([tau_out])).evaluate(theta[: len(form.parameters())])
    assert value[0] > 0


@pytest.mark.parametrize("name", BOUNDED)
@given(theta=thetas, tau_in=tokens, tau_out=tokens)
@settings(max_examples=40, deadline=None)
def test_more_tokens_never_cost_less(name, theta, tau_in, tau_out):
    form = build(name)
    design = form.design(np.array([tau_in, tau_in + 1, tau_in]), np.array([tau_out, tau_out, tau_out + 1]))
    here, longer_prompt, longer_answer = design.evaluate(theta[: len(form.parameters())])[0]
    assert longer_prompt >= here * (1 - 1e-12)
    assert longer_answer >= here * (1 - 1e-12)


def test_a_misspelt_form_or_setting_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'roofline'"):
        build("rofline")
    with pytest.raises(InputError, match=r"curve\.robust_scal: no such setting.*robust_scale"):
        from_config({"name": "roofline", "robust_scal": 0.1})
    assert from_config({"name": "auto"}) == "auto"
    assert from_config({"name": "roofline", "sharpest": 5.0}) == Roofline(sharpest=5.0)


@pytest.mark.parametrize("value", [0.0, -12.0, 0.999, 1.0, 1e300, math.inf, -math.inf, math.nan])
def test_a_sharpness_that_no_maximum_has_is_refused_by_name(value):
    with pytest.raises(InputError, match=r"^curve\.sharpest=\S+: must be above 1 .* at most 1000\.$"):
        from_config({"name": "roofline", "sharpest": value})


@pytest.mark.parametrize("name", ["recompute", "roofline"])
@pytest.mark.parametrize("value", [0.0, -0.02, 1e300, math.inf, math.nan])
def test_a_robust_scale_that_is_no_share_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=r"^curve\.robust_scale=\S+: must be a share above 0.*null"):
        from_config({"name": name, "robust_scale": value})


@pytest.mark.parametrize("sharpest", [1.001, 2.0, 1000.0])
@pytest.mark.parametrize("scale", [None, 1e-9, 0.5, 1e9])
def test_every_setting_that_is_accepted_can_be_fitted(sharpest, scale):
    tau_in, tau_out = (axis.ravel() for axis in np.meshgrid([8, 64, 512, 2048], [8, 64, 512]))
    form = from_config({"name": "roofline", "sharpest": sharpest, "robust_scale": scale})
    truth = np.array([3.0, 30.0, 3.0, 5.0, min(2.0, sharpest)])
    measured = form.design(tau_in, tau_out).evaluate(truth)[0]
    measured *= np.where(np.arange(len(measured)) % 2, 1.01, 0.99)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(form, form.design(tau_in, tau_out), measured, "J")
    predicted = form.design(tau_in, tau_out).evaluate(found.theta)[0]
    np.testing.assert_allclose(predicted, measured, rtol=0.05)
