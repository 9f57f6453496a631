"""The simulating backend: what it says serving takes is what the curve says."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.backends import BACKENDS
from llmsim.backends.contract import PhaseEngine
from llmsim.backends.simulator import PhaseCurveEngine, QueryEngine, Simulator
from llmsim.curves.cost import Cost
from llmsim.errors import InputError
from tests.builders import LinearCurve, deployment
from tests.synthetic_phase import synthetic_phase

CURVE = synthetic_phase()
DEPLOYMENT = deployment()
TOKENS = st.integers(1, 5000)
PAIRS = st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=8)


@dataclass(frozen=True)
class AnswerCurve:
    """Seconds given by the answer's tokens alone, as a formula; as many joules."""

    seconds: object

    def cost(self, tau_in, tau_out):
        seconds = self.seconds(tau_out.astype(float))
        none = np.zeros(len(tau_in))
        return Cost(seconds, none, seconds, none, none.astype(bool))


class Counted:
    """A curve that counts the queries that it is asked about."""

    def __init__(self):
        self.asked = 0

    def cost(self, tau_in, tau_out):
        self.asked += len(tau_in)
        return LinearCurve(2.0, 0.5).cost(tau_in, tau_out)


def engine(curve):
    return Simulator().open(replace(DEPLOYMENT, curve=curve))


def test_a_query_curve_has_an_engine_for_queries_and_a_phase_curve_one_for_phases():
    simulator = BACKENDS.build("simulator")
    assert simulator == Simulator()
    assert simulator.method == "simulated"
    alone = engine(LinearCurve())
    assert isinstance(alone, QueryEngine)
    assert not isinstance(alone, PhaseEngine)
    batched = engine(CURVE)
    assert isinstance(batched, PhaseCurveEngine)
    assert isinstance(batched, PhaseEngine)
    alone.close()
    batched.close()


@given(PAIRS, st.booleans())
def test_a_query_takes_what_the_curve_says_expected_or_not(pairs, expected):
    curve = LinearCurve(3.0, 0.02)
    one = engine(curve)
    if expected:
        one.expect(*np.array(pairs).T)
    for tau_in, tau_out in pairs:
        cost = curve.cost(np.array([tau_in]), np.array([tau_out]))
        advance = one.serve([tau_in], [tau_out])
        assert advance.runtime_s == cost.runtime_s[0]
        assert advance.energy_j == cost.energy_j[0]
        assert advance.first_token_s == curve.cost(np.array([tau_in]), np.array([1])).runtime_s[0]
        assert advance.prefill_j is None


def test_what_is_expected_is_priced_once_for_each_distinct_pair():
    curve = Counted()
    one = engine(curve)
    one.expect(np.array([5, 5, 7, 5]), np.array([2, 2, 2, 3]))
    assert curve.asked == 2 * 3  # whole, and to the first token
    for tau_in, tau_out in ((5, 2), (7, 2), (5, 3)):
        one.serve([tau_in], [tau_out])
    assert curve.asked == 2 * 3
    one.serve([8], [1])
    one.serve([8], [1])
    assert curve.asked == 2 * 4


def test_a_negative_runtime_takes_no_time_and_keeps_its_joules():
    one = engine(AnswerCurve(lambda tau_out: 0.5 * (tau_out - 10)))
    advance = one.serve([3], [4])
    assert (advance.runtime_s, advance.first_token_s, advance.energy_j) == (0.0, 0.0, -3.0)
    assert one.serve([3], [14]).runtime_s == 2.0


@given(PAIRS, st.floats(-10, 10), st.floats(-10, 10))
def test_the_first_token_never_comes_after_the_last_nor_before_the_start(pairs, base, slope):
    one = engine(AnswerCurve(lambda tau_out: base + slope * tau_out))
    one.expect(*np.array(pairs).T)
    for tau_in, tau_out in pairs:
        advance = one.serve([tau_in], [tau_out])
        assert 0 <= advance.first_token_s <= advance.runtime_s


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_runtime_that_is_no_number_is_refused_by_the_deployments_name(value):
    one = engine(AnswerCurve(lambda tau_out: np.where(tau_out > 5, value, 1.0)))
    one.expect(np.array([1]), np.array([5]))
    with pytest.raises(InputError, match="m@box: its runtime curve gives a value that is not finite"):
        one.serve([1], [6])


def test_joules_that_were_not_measured_are_absent_and_seconds_are_needed():
    assert engine(LinearCurve(joules_per_token=None)).serve([3], [4]).energy_j is None

    class Joules:
        def cost(self, tau_in, tau_out):
            return replace(LinearCurve().cost(tau_in, tau_out), runtime_s=None, runtime_se_s=None)

    with pytest.raises(InputError, match="m@box has no runtime curve"):
        engine(Joules()).serve([3], [4])


@pytest.mark.parametrize("size", [0, 2, 8])
def test_a_query_curve_serves_no_batch_of_several(size):
    with pytest.raises(
        InputError, match=f"m@box: its curve is for one query at a time, not a batch of {size}"
    ):
        engine(LinearCurve()).serve([5] * size, [6] * size)


@given(PAIRS)
def test_a_batch_takes_one_prefill_and_steps_to_its_longest_answer(pairs):
    tau_in, tau_out = (list(side) for side in zip(*pairs, strict=True))
    batch, steps = len(pairs), max(tau_out) - 1
    prefill = CURVE.prefill(np.array(tau_in))
    decode = CURVE.decode(batch, sum(tau_in) + batch, steps)
    advance = engine(CURVE).serve(tau_in, tau_out)
    assert advance.first_token_s == pytest.approx(float(prefill.runtime_s), rel=1e-9)
    assert advance.runtime_s == pytest.approx(float(prefill.runtime_s + decode.runtime_s), rel=1e-9)
    assert advance.prefill_j == pytest.approx(float(prefill.energy_j), rel=1e-9)
    assert advance.energy_j == pytest.approx(float(prefill.energy_j + decode.energy_j), rel=1e-9)


@given(TOKENS, TOKENS)
def test_a_batch_of_one_takes_what_a_query_alone_costs(tau_in, tau_out):
    cost = CURVE.cost(np.array([tau_in]), np.array([tau_out]))
    advance = engine(CURVE).serve([tau_in], [tau_out])
    assert advance.runtime_s == pytest.approx(cost.runtime_s[0], rel=1e-9)
    assert advance.energy_j == pytest.approx(cost.energy_j[0], rel=1e-9)


def test_a_batch_beyond_the_targets_largest_is_served_all_the_same():
    small = engine(CURVE)  # the target's largest batch is 1
    tokens = [100, 20, 3] * 7
    large = PhaseCurveEngine(CURVE, 64)
    assert small.serve(tokens, tokens) == large.serve(tokens, tokens)


def test_a_batch_without_energy_has_no_joules():
    advance = engine(replace(CURVE, energy=None)).serve([5, 6], [7, 8])
    assert advance.energy_j is None
    assert advance.prefill_j is None
    assert 0 < advance.first_token_s < advance.runtime_s


def test_costs_of_phases_are_the_curves():
    seconds, joules = engine(CURVE).costs.prefill([40, 2])
    cost = CURVE.prefill(np.array([40, 2]))
    assert (seconds, joules) == pytest.approx((float(cost.runtime_s), float(cost.energy_j)))
