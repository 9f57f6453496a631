"""Pieces of measured work beside what the simulator's costs say of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.contract import StepEngine, Work
from llmsim.backends.simulator import QueryEngine
from llmsim.errors import InputError
from llmsim.simulation.book import open_book
from llmsim.simulation.clock import Clock
from llmsim.simulation.continuous_station import ContinuousStation
from llmsim.simulation.floor import Floor
from llmsim.simulation.hall import Hall
from llmsim.simulation.ledger import close
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.pieces import Seen, Witness, beside
from llmsim.simulation.traffic import Traffic
from tests.builders import deployment, queries
from tests.simulation.costs import AffineCosts, SparingCosts
from tests.simulation.test_continuous import agree, draw_limits, draw_workload
from tests.simulation.test_stepped import Metronome


class Board(Metronome):
    """A metronome that saves joules while it draws less than its limit, as a board does."""

    def __init__(self, costs, clock):
        super().__init__(costs)
        self.clock = clock
        self.saved: dict[int, tuple[float, float]] = {}

    def prefill(self, instance, queries, tokens):
        super().prefill(instance, queries, tokens)
        budget, now_s = self.costs.budget, self.clock.now
        spare_j, since_s = self.saved.get(instance, (budget.most_j, now_s))
        spare_j = budget.after(spare_j, now_s - since_s, 0.0)
        seconds, joules = self.costs.spared(tokens, spare_j)
        self.saved[instance] = budget.after(spare_j, seconds, joules), now_s + seconds
        return Work(seconds, joules)

    def decode(self, instance, most_steps, until_s):
        work = super().decode(instance, most_steps, until_s)
        spare_j, since_s = self.saved[instance]
        saved_j = self.costs.budget.limit_w * work.runtime_s - work.energy_j
        self.saved[instance] = spare_j + saved_j, since_s + work.runtime_s
        return work


def run(workload, costs, limits, instances, engine_of):
    """The ledger of a continuous deployment's run, and its pieces beside the costs."""
    clock = Clock()
    traffic, book, meters = Traffic(clock), open_book(workload), Meters(instances)
    witness = Witness(engine_of(costs, clock))
    assert isinstance(witness, StepEngine)
    station = ContinuousStation(Hall(Floor(clock, traffic, book), witness, limits, meters), "join_shortest")
    traffic.start(book.arrival_s, station.arrive, None)
    clock.run()
    book.deployment[:] = type(book.deployment)("q", [0] * len(workload))
    ledger = close(workload, book, (meters,), (deployment(instances=instances),), 0)
    told = SimpleNamespace(costs=costs, expect=print, serve=print, close=print)
    return ledger, beside(witness.seen, told, ledger, 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 2), st.booleans())
def test_pieces_of_an_engine_that_is_as_the_costs_say_are_predicted_to_cost_that(seed, n, instances, sparing):
    rng = np.random.default_rng(seed)
    drawn = draw_limits(rng)
    limits = Limits(drawn.max_batch, drawn.kv_blocks, drawn.kv, drawn.window_tokens)
    workload = draw_workload(rng, n, limits.kv_blocks, limits.window_tokens)
    costs, engine_of = (SparingCosts(), Board) if sparing else (AffineCosts(), lambda of, _: Metronome(of))
    ledger, pieces = run(workload, costs, limits, instances, engine_of)

    def column(name):
        return np.array([getattr(piece, name) for piece in pieces])

    agree(column("predicted_s"), column("measured_s"), "seconds")
    agree(column("predicted_j"), column("measured_j"), "joules")
    assert (column("busy_s") == column("measured_s")).all()
    assert column("measured_s").sum() == pytest.approx(ledger.instances().busy_s.sum())
    assert column("measured_j").sum() == pytest.approx(ledger.energy_j.sum())
    ends = column("begin_s") + column("measured_s")
    assert ends.max() == pytest.approx(ledger.end_of_run_s)


def test_iterations_cannot_be_held_against_a_curve_of_whole_queries():
    limits, workload = Limits(4), queries([5], [3])
    ledger, _ = run(workload, AffineCosts(), limits, 1, lambda of, _: Metronome(of))
    seen = [Seen("prefill", 0, 0, (5,), 1, 0, 0, Work(0.1))]
    with pytest.raises(InputError, match="prefill and decode apart"):
        beside(seen, QueryEngine(deployment()), ledger, 0)
