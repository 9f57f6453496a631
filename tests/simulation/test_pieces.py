"""Pieces of measured work beside what the simulator's costs say of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.contract import StepEngine
from llmsim.backends.simulator import QueryEngine
from llmsim.errors import InputError
from llmsim.simulation.limits import Limits
from llmsim.simulation.pieces import Witness
from tests.builders import deployment
from tests.simulation.costs import AffineCosts
from tests.simulation.fleets import play_continuous
from tests.simulation.test_continuous import agree, draw_limits, draw_workload
from tests.simulation.test_stepped import Metronome


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 2))
def test_pieces_of_an_engine_that_is_as_the_costs_say_are_predicted_to_cost_what_they_cost(
    seed, n, instances
):
    rng = np.random.default_rng(seed)
    drawn = draw_limits(rng)
    limits = Limits(drawn.max_batch, drawn.kv_blocks, drawn.kv, drawn.window_tokens)
    workload = draw_workload(rng, n, limits.kv_blocks, limits.window_tokens)
    engine = Metronome(AffineCosts())
    told = SimpleNamespace(costs=AffineCosts(), expect=print, serve=print, close=print)
    witness = Witness("one", engine, told)
    assert isinstance(witness, StepEngine)
    book, meters, _ = play_continuous(workload, None, witness, limits, instances)
    wanted, _, _ = play_continuous(workload, None, Metronome(AffineCosts()), limits, instances)
    assert list(book.end_s) == list(wanted.end_s)
    columns = {name: np.array([getattr(piece, name) for piece in witness.pieces]) for name in
               ("measured_s", "busy_s", "predicted_s", "measured_j", "predicted_j")}  # fmt: skip
    agree(columns["predicted_s"], columns["measured_s"], "seconds")
    agree(columns["predicted_j"], columns["measured_j"], "joules")
    assert (columns["busy_s"] == columns["measured_s"]).all()
    assert columns["measured_s"].sum() == pytest.approx(sum(meters.prefill_s) + sum(meters.decode_s))


def test_iterations_cannot_be_held_against_a_curve_of_whole_queries():
    witness = Witness("one", Metronome(AffineCosts()), QueryEngine(deployment()))
    with pytest.raises(InputError, match="prefill and decode apart"):
        witness.begin(1, 4)
