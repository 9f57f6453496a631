"""A hardware's headroom, lent to the curves of models that were not measured amid steps."""

import dataclasses

import pytest

from llmsim import trials
from llmsim.curves import library
from llmsim.curves.headroom import Headroom
from llmsim.curves.lending import with_headroom
from llmsim.curves.synthetic_phase import synthetic_phase
from tests.builders import LinearCurve, hardware

LENT = {"work": 0.8, "gain": 0.5, "budget_j": 14.0}
NODE = hardware(headroom=LENT, headroom_source="made up")


@pytest.fixture(scope="module")
def curve():
    return library.fit(trials.shipped(), system="h200", model="mistral-7b", n_devices=1, kv_cache=True).curve


def test_a_curve_without_its_own_borrows_that_of_its_boards(curve):
    borrowed, told = with_headroom(curve, NODE, 2)
    limit_w = curve.energy.prefill.theta[-1]
    assert borrowed.headroom == Headroom(0.8, 0.5, 28.0, limit_w)
    assert told["headroom"]["fit"] == {"lent_by": "made up"}
    assert dataclasses.replace(borrowed, headroom=None) == curve


def test_a_curve_keeps_its_own_and_one_that_knows_no_limit_has_no_use_for_any(curve):
    own = dataclasses.replace(curve, headroom=Headroom(0.9, 0.1, 1.0, 700.0))
    for one, node in ((own, NODE), (curve, hardware()), (LinearCurve(), NODE), (synthetic_phase(), NODE)):
        assert with_headroom(one, node, 1) == (one, {})
