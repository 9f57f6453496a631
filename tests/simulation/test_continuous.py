"""The continuous discipline against a plain step-by-step reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.simulation.limits import Limits
from tests.builders import queries
from tests.simulation import reference
from tests.simulation.costs import AffineCosts, SparingCosts
from tests.simulation.fleets import play_continuous


def draw_workload(rng, n, kv_blocks, window):
    """Lengths that fit the memory alone, arrivals in lumps as well as apart."""
    longest = min(600, 16 * kv_blocks) if window is None or window > 16 * kv_blocks else 600
    tau_in = rng.integers(1, max(2, longest // 2), n)
    tau_out = np.minimum(rng.geometric(1 / 40, n), longest - tau_in)
    gap_s = rng.exponential(rng.choice([0.002, 0.05, 0.5]), n) * (rng.random(n) < 0.8)
    return queries(tau_in, tau_out, np.cumsum(gap_s))


def draw_limits(rng):
    return Limits(
        max_batch=int(rng.choice([1, 2, 5, 16, 64])),
        kv_blocks=int(rng.choice([12, 40, 90, 400, 100_000])),
        kv=str(rng.choice(["reserve", "grow"])),
        window_tokens=[None, None, 64, 100, 333][rng.integers(5)],
        chunk_tokens=[None, None, 32, 100, 700][rng.integers(5)],
        prefill_after_s=float(rng.choice([0.0, 0.0, 0.3, np.inf])),
    )


def predict(rng, tau_out):
    kind = rng.integers(3)
    if kind == 0:
        return tau_out
    if kind == 1:
        return np.full_like(tau_out, 40)
    return np.maximum(1, np.rint(tau_out * rng.lognormal(0, 0.7, len(tau_out)))).astype(int)


def agree(ours, theirs, what):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.allclose(ours, theirs, rtol=1e-9, atol=0), (what, np.max(np.abs(ours / theirs - 1)))


def compare(workload, predicted, costs, limits, instances, dispatch, at_arrival=False):
    book, meters, clock = play_continuous(workload, predicted, costs, limits, instances, dispatch, at_arrival)
    rows, fleet = reference.play(
        workload, predicted.tolist(), costs, limits, instances, reference.DISPATCHERS[dispatch]()
    )
    assert list(book.instance) == [row.instance for row in rows]
    agree(book.start_s, [row.start_s for row in rows], "start")
    agree(book.first_token_s, [row.first_token_s for row in rows], "first token")
    agree(book.end_s, [row.end_s for row in rows], "end")
    agree(book.energy_j, [row.energy_j for row in rows], "joules")
    assert [book.preemptions.get(row.number, 0) for row in rows] == [row.preemptions for row in rows]
    agree(meters.prefill_j, [instance.prefill_j for instance in fleet], "prefill joules")
    agree(meters.decode_j, [instance.decode_j for instance in fleet], "decode joules")
    return book, meters, clock


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(1, 4),
    st.sampled_from(sorted(reference.DISPATCHERS)),
)
def test_it_is_the_same_as_stepping_every_iteration(seed, n, instances, dispatch):
    rng = np.random.default_rng(seed)
    limits = draw_limits(rng)
    workload = draw_workload(rng, n, limits.kv_blocks, limits.window_tokens)
    predicted = predict(rng, workload.tau_out)
    costs = SparingCosts() if seed % 3 else AffineCosts()
    compare(workload, predicted, costs, limits, instances, dispatch, at_arrival=bool(seed % 2))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 3))
def test_it_is_the_same_when_arrivals_fall_on_boundaries(seed, n, instances):
    """Whole seconds everywhere: every boundary is a whole number, and so is every arrival."""
    rng = np.random.default_rng(seed)
    costs = AffineCosts((1.0, 0.0, 0.0), (2.0, 1.0, 0.5), (3.0, 0.0, 0.0, 0.0), (4.0, 0, 0, 0))
    workload = queries(
        rng.integers(1, 100, n), rng.integers(1, 12, n), np.sort(rng.integers(0, 4 * n, n)).astype(float)
    )
    limits = Limits(
        int(rng.choice([1, 3, 10])), int(rng.choice([8, 20, 1000])), str(rng.choice(["reserve", "grow"]))
    )
    compare(workload, predict(rng, workload.tau_out), costs, limits, instances, "join_shortest")


def test_a_query_alone_takes_its_prefill_and_its_steps():
    costs = AffineCosts((1.0, 0.0, 0.125), (2.0, 0.0, 0.0), (3.0, 0, 0, 0), (5.0, 0, 0, 0))
    book, meters, clock = play_continuous(queries([10], [4], [7.0]), None, costs, Limits(8), 1)
    # Three steps after the first token, at contexts 11, 12 and 13.
    assert book.first_token_s[0] == 10.0
    assert book.end_s[0] == pytest.approx(10 + 3 + 0.125 * (11 + 12 + 13))
    assert book.energy_j[0] == pytest.approx(5 + 3 * 2)
    assert clock.scheduled == 2
    assert meters.prefill_s[0] == 3.0
