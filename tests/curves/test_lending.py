"""A hardware's headroom, lent to the curves of models that were not measured amid steps."""

import dataclasses

import pytest

from llmsim import trials
from llmsim.backends.phase import CurveCosts
from llmsim.curves import library
from llmsim.curves.headroom import Headroom
from llmsim.curves.joules import JoulesApart
from llmsim.curves.lending import with_headroom
from llmsim.curves.phase_energy import PrefillEnergy
from llmsim.curves.prefill import Prefill
from tests.builders import LinearCurve, hardware
from tests.synthetic_phase import exact, synthetic_phase

LENT = {"seconds": 0.8, "joules": 1.15, "budget_j": 24.0}
NODE = hardware(headroom=LENT, headroom_source="made up")


@pytest.fixture(scope="module")
def curve():
    return library.fit(trials.shipped(), system="h200", model="mistral-7b", n_devices=1, kv_cache=True).curve


def test_a_curve_without_its_own_borrows_that_of_its_boards(curve):
    borrowed, told = with_headroom(curve, NODE, 2)
    limit_w = curve.energy.prefill.theta[-1]
    assert borrowed.headroom == Headroom(0.8, 1.15, 48.0, limit_w)
    assert told["headroom"]["lent_by"] == "made up"
    assert told["headroom"]["parameters"]["budget_j"]["value"] == 48.0
    assert with_headroom(curve, NODE, 2, cells=9) == (curve, {})  # its own trials tell that it has none
    assert dataclasses.replace(borrowed, headroom=None) == curve


def test_a_curve_keeps_its_own_and_one_that_knows_no_limit_has_no_use_for_any(curve):
    own = dataclasses.replace(curve, headroom=Headroom(0.9, 1.1, 1.0, 700.0))
    for one, node in ((own, NODE), (curve, hardware()), (LinearCurve(), NODE), (synthetic_phase(), NODE)):
        assert with_headroom(one, node, 1) == (one, {})


def test_the_most_that_was_drawn_is_no_limit_where_the_boards_allow_more(curve):
    limit_w = curve.energy.prefill.theta[-1]
    for tdp_w, lent in ((None, True), (limit_w / 0.99, True), (limit_w / 0.93, False)):
        assert bool(with_headroom(curve, dataclasses.replace(NODE, tdp_w=tdp_w), 1)[1]) is lent
    assert with_headroom(curve, dataclasses.replace(NODE, tdp_w=limit_w), 2) == (curve, {})


def test_passes_of_a_small_model_that_stay_below_the_limit_on_end_are_no_quicker_amid_steps(curve):
    small = dataclasses.replace(
        curve,
        prefill_time=exact(Prefill(sharpness=None), 2.7e-4, 7.4e-5, 3.67e-3, 0.0, 1.54e-3, 12.0),
        energy=JoulesApart(exact(PrefillEnergy(), 0.55, 4.16, 0.0, 697.0), curve.energy.decode),
    )
    costs = CurveCosts(with_headroom(small, NODE, 1)[0])
    for tokens in (1, 24, 104, 180, 260):  # 340 to 637 W
        assert costs.spared([tokens], 20.0) == costs.prefill([tokens])
    assert costs.spared([1000], 20.0)[0] < 0.85 * costs.prefill([1000])[0]  # the limit holds it down
