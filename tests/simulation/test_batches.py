"""Serial and static batches against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.contract import Advance
from llmsim.simulation.batches import BatchHall, BatchStation, Forming, shares_of
from llmsim.simulation.book import open_book
from llmsim.simulation.clock import Clock
from llmsim.simulation.dispatch import dispatcher
from llmsim.simulation.floor import Floor
from llmsim.simulation.meters import Meters
from llmsim.simulation.traffic import Traffic
from tests.builders import queries
from tests.simulation import reference_batches


class Engine:
    """A batch takes as long as its longest answer, and a little more for each query."""

    def serve(self, tau_in, tau_out):
        runtime_s = 0.125 * max(tau_out) + 0.5 * len(tau_in)
        return Advance(runtime_s, 0.5 * len(tau_in), 3.0 * runtime_s)


def play(workload, instances, forming, dispatch):
    clock = Clock()
    traffic = Traffic(clock)
    book = open_book(workload)
    chooser = None if dispatch == "shared" else dispatcher(dispatch, instances)
    meters = Meters(instances)
    hall = BatchHall(Floor(clock, traffic, book), Engine(), forming, meters, None, chooser)
    station = BatchStation(hall)
    traffic.start(book.arrival_s, station.arrive, None)
    clock.run()
    assert station.present == 0
    return book, meters


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(1, 4),
    st.sampled_from([Forming(1), Forming(4), Forming(4, 1.5), Forming(100, 0.75)]),
    st.sampled_from(["shared", "join_shortest"]),
)
def test_batches_start_when_a_plain_account_says(seed, n, instances, forming, dispatch):
    rng = np.random.default_rng(seed)
    # Eighths of seconds: batches end, waits run out and queries arrive at the same instants.
    arrival_s = np.sort(rng.integers(0, 8 * n, n)) / 8
    workload = queries(rng.integers(1, 50, n), rng.integers(1, 30, n), arrival_s)
    book, meters = play(workload, instances, forming, dispatch)

    def serve(tau_in, tau_out):
        took = Engine().serve(tau_in, tau_out)
        return took.runtime_s, took.first_token_s

    start, first_token, end, instance = reference_batches.play(
        workload, serve, instances, forming.max_batch, forming.wait_s, dispatch == "shared"
    )
    assert list(book.start_s) == start.tolist()
    assert list(book.first_token_s) == first_token.tolist()
    assert list(book.end_s) == end.tolist()
    assert list(book.instance) == instance.tolist()
    assert sum(book.energy_j) == pytest.approx(sum(meters.serve_j))
    assert sum(meters.serve_j) == pytest.approx(3.0 * sum(meters.serve_s))


def test_a_batch_waits_for_its_size_or_its_time():
    workload = queries([1, 1, 1], [8, 8, 8], [0.0, 1.0, 10.0])
    book, _ = play(workload, 1, Forming(2, 4.0), "shared")
    assert list(book.start_s) == [1.0, 1.0, 14.0]


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 300)), min_size=1, max_size=12), st.booleans())
def test_shares_of_a_batch_sum_to_one(lengths, phases):
    tau_in, tau_out = zip(*lengths, strict=True)
    took = Advance(1.0, 0.5, 100.0, 30.0 if phases else None)
    shares = shares_of(range(len(lengths)), tau_in, tau_out, took)
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0


def test_who_generates_longer_pays_for_the_steps_it_is_alone_in():
    took = Advance(1.0, 0.5, 100.0, 20.0)
    # Prefill 20 J by prompts; two steps of 40 J: one shared, one alone.
    assert shares_of([0, 1], [30, 10], [2, 3], took) == pytest.approx([0.15 + 0.20, 0.05 + 0.20 + 0.40])
