"""The serial discipline: hand-made cases, laws on random runs, and queueing theory at small size."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.fleet.prices import price
from llmsim.policies.rotation import RoundRobin, Single
from llmsim.simulation.run import Entry, run_policy
from tests.builders import deployment, queries, random_prices

RNG = np.random.default_rng(0)


def play(prices, policy):
    engines = [Simulator().open(item) for item in prices.deployments]
    return run_policy(Entry("x", policy, {"name": "x"}), prices, engines, RNG)


def test_one_instance_serves_first_come_first_served():
    prices = price(queries([100, 100, 100], [100, 100, 100], [0.0, 0.5, 10.0]), [deployment()])
    ledger = play(prices, RoundRobin()).ledger
    assert ledger.start_s.tolist() == [0.0, 2.0, 10.0]
    assert ledger.end_s.tolist() == [2.0, 4.0, 12.0]
    assert ledger.energy_j.tolist() == [200.0, 200.0, 200.0]
    assert ledger.first_token_s[0] == pytest.approx(1.01)


def test_an_instance_that_frees_up_as_a_query_arrives_takes_it():
    prices = price(queries([100, 100], [100, 100], [0.0, 2.0]), [deployment(instances=2)])
    assert play(prices, RoundRobin()).ledger.instance.tolist() == [0, 0]


def test_the_free_instance_of_the_lowest_number_serves():
    prices = price(queries([100] * 4, [100] * 4, [0.0, 0.1, 2.05, 2.06]), [deployment(instances=3)])
    assert play(prices, RoundRobin()).ledger.instance.tolist() == [0, 1, 0, 2]


def reference(arrival_s, runtime_s, servers):
    """First come first served on c servers, by the earliest free time (Kiefer and Wolfowitz 1955)."""
    free = [0.0] * servers
    ends = []
    for at, takes in zip(arrival_s, runtime_s, strict=True):
        end = max(at, heapq.heappop(free)) + takes
        heapq.heappush(free, end)
        ends.append(end)
    return ends


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 4))
def test_every_run_conserves_queries_time_and_energy(seed, n, k):
    prices = random_prices(np.random.default_rng(seed), n, k)
    run = play(prices, RoundRobin())
    ledger = run.ledger
    assert len(run.served) + sum(len(numbers) for numbers in run.refused.values()) == n
    assert (ledger.start_s >= ledger.arrival_s).all()
    assert (ledger.first_token_s <= ledger.end_s).all()
    assert (ledger.first_token_s > ledger.start_s).all()
    for index, item in enumerate(prices.deployments):
        here = np.flatnonzero(ledger.deployment == index)
        if not len(here):
            continue
        pair = run.prices.pair_of[here]
        runtime = prices.costs[index].runtime_s[pair]
        assert ledger.end_s[here].tolist() == reference(ledger.arrival_s[here], runtime, item.instances)
        assert (ledger.energy_j[here] == prices.costs[index].energy_j[pair]).all()
        for instance in np.unique(ledger.instance[here]):
            own = here[ledger.instance[here] == instance]
            order = np.argsort(ledger.start_s[own])
            assert (ledger.start_s[own][order][1:] >= ledger.end_s[own][order][:-1]).all()
    horizon_s = ledger.end_of_run_s
    instances = ledger.instances()
    assert instances.queries.sum() == len(run.served)
    assert instances.energy_active_j.sum() == pytest.approx(ledger.energy_j.sum())
    idle_j = instances.idle_energy_j(horizon_s)
    assert (idle_j >= -1e-9).all()
    assert idle_j.sum() == pytest.approx(
        10.0 * (horizon_s * len(idle_j) - (ledger.end_s - ledger.start_s).sum())
    )


def test_waits_agree_with_pollaczek_and_khinchine():
    """M/D/1 at utilisation 0.7: mean wait = rho * s / (2 * (1 - rho))."""
    rng = np.random.default_rng(5)
    n, service_s, load = 60_000, 2.0, 0.7
    arrival = np.cumsum(rng.exponential(service_s / load, n))
    prices = price(queries([100] * n, [100] * n, arrival), [deployment()])
    ledger = play(prices, RoundRobin()).ledger
    wait = (ledger.start_s - ledger.arrival_s).mean()
    assert wait == pytest.approx(load * service_s / (2 * (1 - load)), rel=0.05)


def test_single_refuses_what_does_not_fit_it_and_serves_the_rest():
    prices = price(queries([10, 90], [10, 90]), [deployment("a", context=100), deployment("b")])
    run = play(prices, Single("a"))
    assert run.served.tolist() == [0]
    assert {reason: numbers.tolist() for reason, numbers in run.refused.items()} == {"does not fit x": [1]}


def test_playing_twice_gives_the_same_ledger():
    prices = random_prices(np.random.default_rng(3), 200, 3)
    first, second = (play(prices, RoundRobin()).ledger for _ in range(2))
    assert first.end_s.tobytes() == second.end_s.tobytes()
    assert first.instance.tobytes() == second.instance.tobytes()
