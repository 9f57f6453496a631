"""Scalar costs of phases against the curve that they are read off."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmsim.backends.phase import CurveCosts, over_limit_j
from llmsim.curves.decode import Decode
from llmsim.curves.joules import JoulesApart, over_limit
from llmsim.curves.phase_energy import DecodeEnergy, PrefillEnergy
from llmsim.curves.prefill import Prefill
from tests.synthetic_phase import exact, synthetic_phase

CURVE = synthetic_phase()


# A mixture of experts whose phases were measured apart, on a device that its batches bring to its limit.
ROUTED = replace(
    CURVE,
    prefill_time=exact(Prefill(sharpness=None), 2e-2, 1e-5, 2e-2, 5e-4, 1e-3, 2.5),
    decode_time=exact(Decode(routed=True), 8e-3, 1.2e-5, 1.5e-5, 3e-5, 0.1, 1.5e-2, 0.75),
    energy=JoulesApart(
        exact(PrefillEnergy(), 10.0, 18.0, 0.3, 700.0),
        exact(DecodeEnergy(miss=0.75), 4.0, 3e-2, 2.5e-2, 9.0, 690.0),
    ),
)
CURVES = {"together": CURVE, "apart": ROUTED}
COSTS = {name: CurveCosts(curve) for name, curve in CURVES.items()}
STEPS = {name: costs.steps(256) for name, costs in COSTS.items()}
NAMES = st.sampled_from(sorted(CURVES))
TOKENS = st.integers(1, 100_000)


@given(NAMES, st.lists(st.tuples(TOKENS, st.integers(0, 100_000)), min_size=1, max_size=8), st.booleans())
@example("apart", [(1, 0)], False)
@example("apart", [(40, 0)], False)
def test_a_pass_costs_what_the_curve_says(name, prompts, chunked):
    tokens = [new for new, _ in prompts]
    past = [old for _, old in prompts] if chunked else []
    cost = CURVES[name].prefill(np.array(tokens), np.array(past or [0] * len(tokens)))
    seconds, joules = COSTS[name].prefill(tokens, past)
    assert seconds == pytest.approx(float(cost.runtime_s), rel=1e-12)
    assert joules == pytest.approx(float(cost.energy_j), rel=1e-12)


@given(NAMES, st.integers(1, 256), st.integers(1, 1_000_000), st.integers(0, 5000))
@example("apart", 9, 9 * 200, 5000)
def test_steps_sum_to_what_the_curve_says(name, batch, context, steps):
    base_s, slope_s, base_j, slope_j, limit_w = STEPS[name][batch]
    cost = CURVES[name].decode(batch, context, steps)
    contexts = context + batch * np.arange(steps)
    seconds = base_s + slope_s * contexts
    assert seconds.sum() == pytest.approx(float(cost.runtime_s), rel=1e-9)
    joules = np.minimum(base_j + slope_j * contexts, limit_w * seconds)
    assert joules.sum() == pytest.approx(float(cost.energy_j), rel=1e-9)


@given(st.floats(-10, 10), st.floats(-1, 1).map(lambda x: round(x, 2)), st.integers(0, 300))
def test_what_is_over_the_limit_sums_in_closed_form(first, growth, steps):
    each = np.maximum(first + growth * np.arange(steps), 0).sum()
    assert over_limit_j(first, growth, steps) == pytest.approx(each, rel=1e-9, abs=1e-9)
    many = over_limit(np.array([first]), np.array([growth]), np.array([steps]))
    assert many[0] == pytest.approx(each, rel=1e-9, abs=1e-9)


def test_any_other_phase_curve_is_asked_itself():
    class Other:
        def prefill(self, tokens, past=0):
            return CURVE.prefill(tokens, past)

        def decode(self, batch, context, steps):
            return CURVE.decode(batch, context, steps)

    other, costs = CurveCosts(Other()), COSTS["together"]
    assert other.prefill([5, 700]) == pytest.approx(costs.prefill([5, 700]), rel=1e-12)
    assert other.prefill([5, 700], [0, 64]) == pytest.approx(costs.prefill([5, 700], [0, 64]), rel=1e-12)
    assert np.array(other.steps(7)) == pytest.approx(np.array(STEPS["together"][:8]), rel=1e-12)


def test_joules_that_were_not_measured_are_not_numbers():
    costs = CurveCosts(replace(CURVE, energy=None))
    assert math.isnan(costs.prefill([10])[1])
    assert math.isnan(costs.steps(3)[3][2])
