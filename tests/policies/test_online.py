"""Online policies: what each decides from what it is shown."""

from __future__ import annotations

import numpy as np
import pytest

from llmsim.errors import InputError
from llmsim.policies import POLICIES
from llmsim.policies.cost_aware import DualPrice, QueueAware, ZetaCost
from llmsim.policies.load_aware import EnergySlo, LeastLoaded, PowerOfTwo
from tests.builders import Seen, deployment

TWO = [deployment("a", share=0.5), deployment("b", share=0.5)]


def begun(policy, deployments=TWO, seed=0):
    policy.begin(deployments, np.random.default_rng(seed))
    return policy


def test_least_loaded_counts_queries_for_each_place():
    view = Seen((0, 1, 2), present=(4, 5, 1), slots=(8, 20, 2))
    assert begun(LeastLoaded()).route(1, 1.0, view) == 1


def test_least_loaded_looks_only_at_what_fits():
    view = Seen((0, 2), present=(4, 0, 1), slots=(8, 20, 2))
    assert begun(LeastLoaded()).route(1, 1.0, view) == 0


def test_power_of_two_never_takes_the_fullest_of_three():
    view = Seen((0, 1, 2), present=(9, 1, 2), slots=(10, 10, 10))
    policy = begun(PowerOfTwo())
    chosen = [policy.route(1, 1.0, view) for _ in range(300)]
    assert 0 not in chosen
    assert 0.55 < chosen.count(1) / 300 < 0.78  # two thirds


def test_power_of_two_with_one_choice_takes_it():
    assert begun(PowerOfTwo()).route(1, 1.0, Seen((1,), present=(0, 9), slots=(1, 1))) == 1


def test_energy_slo_takes_the_least_energy_that_is_in_time():
    view = Seen((0, 1, 2), now_s=5.0, energy_j=(1.0, 2.0, 3.0), done_s=(20.0, 14.0, 6.0))
    assert begun(EnergySlo(slo_s=10.0)).route(1, 1.0, view) == 1


def test_energy_slo_takes_the_soonest_where_none_is_in_time():
    view = Seen((0, 1, 2), now_s=5.0, energy_j=(1.0, 2.0, 3.0), done_s=(20.0, 14.0, 16.0))
    assert begun(EnergySlo(slo_s=1.0)).route(1, 1.0, view) == 1


def test_zeta_cost_weighs_energy_against_accuracy():
    view = Seen((0, 1), energy_j=(1.0, 10.0), accuracy_pct=(50.0, 70.0))
    assert begun(ZetaCost(zeta=1.0)).route(10, 10.0, view) == 0
    assert begun(ZetaCost(zeta=0.0)).route(10, 10.0, view) == 1


def test_zeta_cost_accumulates_what_is_present_and_forgets_what_is_done():
    view = Seen((0, 1), energy_j=(2.0, 3.0), accuracy_pct=(50.0, 50.0))
    policy = begun(ZetaCost(zeta=1.0))
    assert policy.route(1, 1.0, view) == 0
    view.query = 1
    assert policy.route(1, 1.0, view) == 1  # 2 + 2 against 3
    policy.done(0, 0)
    view.query = 2
    assert policy.route(1, 1.0, view) == 0


def test_zeta_cost_without_accumulation_looks_at_the_query_alone():
    view = Seen((0, 1), energy_j=(2.0, 3.0), accuracy_pct=(50.0, 50.0))
    policy = begun(ZetaCost(zeta=1.0, accumulate=False))
    assert [policy.route(1, 1.0, view) for _ in range(3)] == [0, 0, 0]


def test_queue_aware_pays_for_each_query_that_waits():
    view = Seen((0, 1), energy_j=(2.0, 3.0), present=(5, 0), slots=(2, 2))
    assert begun(QueueAware(zeta=1.0, penalty=0.1)).route(1, 1.0, view) == 0  # 2/3 + 0.3 against 1
    assert begun(QueueAware(zeta=1.0, penalty=0.2)).route(1, 1.0, view) == 1


def test_dual_price_learns_prices_that_keep_a_share():
    rng = np.random.default_rng(0)
    policy = begun(DualPrice(zeta=1.0, min_share=0.6, first_queries=50))
    chosen = []
    for query in range(2000):
        energy = (1.0, 1.0 + rng.random())
        chosen.append(policy.route(1, 1.0, Seen((0, 1), query=query, energy_j=energy)))
    assert sum(chosen[:49]) == 0  # no prices yet
    assert np.mean(chosen[200:]) == pytest.approx(0.3, abs=0.05)  # at least 0.6 of a half


def test_a_common_scale_of_energies_changes_no_choice():
    rng = np.random.default_rng(0)
    energies = rng.lognormal(size=(200, 2))
    routes = []
    for scale in (1.0, 1e6):
        policy = begun(QueueAware(zeta=0.5))
        view = Seen((0, 1), accuracy_pct=(50.0, 60.0), present=(0, 0), slots=(1, 1))
        chosen = []
        for query, energy in enumerate(energies):
            view.query, view.energy_j = query, tuple(scale * energy)
            chosen.append(policy.route(10, 10.0, view))
        routes.append(chosen)
    assert routes[0] == routes[1]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "zeta_cost", "zeta": 2.0}, "policy.zeta=2.0"),
        ({"name": "queue_aware", "penalty": -1.0}, "policy.penalty=-1.0"),
        ({"name": "energy_slo", "slo_s": 0.0}, "policy.slo_s=0.0"),
        (
            {"name": "energy_slo"},
            "policy.slo_s: say within how many seconds .* slo.latency_s=60, .* or policy.slo_s=60 .*; among",
        ),
        ({"name": "dual_price", "window": 0}, "policy.window=0"),
        ({"name": "queue_aware", "penaltty": 1.0}, "Did you mean 'penalty'"),
    ],
)
def test_settings_out_of_range_are_refused(node, message):
    with pytest.raises(InputError, match=message):
        POLICIES.build(node)
