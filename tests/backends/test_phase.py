"""Scalar costs of phases against the curve that they are read off."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.backends.phase import CurveCosts
from llmsim.curves.synthetic_phase import synthetic_phase

CURVE = synthetic_phase()
COSTS = CurveCosts(CURVE)
STEPS = COSTS.steps(256)
TOKENS = st.integers(1, 100_000)


@given(st.lists(st.tuples(TOKENS, st.integers(0, 100_000)), min_size=1, max_size=8), st.booleans())
def test_a_pass_costs_what_the_curve_says(prompts, chunked):
    tokens = [new for new, _ in prompts]
    past = [old for _, old in prompts] if chunked else []
    cost = CURVE.prefill(np.array(tokens), np.array(past or [0] * len(tokens)))
    seconds, joules = COSTS.prefill(tokens, past)
    assert seconds == pytest.approx(float(cost.runtime_s), rel=1e-12)
    assert joules == pytest.approx(float(cost.energy_j), rel=1e-12)


@given(st.integers(1, 256), st.integers(1, 1_000_000), st.integers(0, 5000))
def test_steps_sum_to_what_the_curve_says(batch, context, steps):
    base_s, slope_s, base_j, slope_j = STEPS[batch]
    cost = CURVE.decode(batch, context, steps)
    mean = context + batch * max(steps - 1, 0) / 2
    assert steps * (base_s + slope_s * mean) == pytest.approx(float(cost.runtime_s), rel=1e-9)
    assert steps * (base_j + slope_j * mean) == pytest.approx(float(cost.energy_j), rel=1e-9)


def test_any_other_phase_curve_is_asked_itself():
    class Other:
        def prefill(self, tokens, past=0):
            return CURVE.prefill(tokens, past)

        def decode(self, batch, context, steps):
            return CURVE.decode(batch, context, steps)

    other = CurveCosts(Other())
    assert other.prefill([5, 700]) == pytest.approx(COSTS.prefill([5, 700]), rel=1e-12)
    assert other.prefill([5, 700], [0, 64]) == pytest.approx(COSTS.prefill([5, 700], [0, 64]), rel=1e-12)
    assert other.steps(7) == STEPS[:8]


def test_joules_that_were_not_measured_are_not_numbers():
    costs = CurveCosts(replace(CURVE, phase_energy=None))
    assert math.isnan(costs.prefill([10])[1])
    assert math.isnan(costs.steps(3)[3][2])
