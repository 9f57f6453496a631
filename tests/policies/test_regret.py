"""No online policy beats the offline optimum with its own counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsim.backends.simulator import Simulator
from llmsim.fleet.prices import price
from llmsim.policies import POLICIES
from llmsim.policies.objective import Objective
from llmsim.policies.optimal import Optimal
from llmsim.policies.regret import regret
from llmsim.simulation.run import Entry, run_policy
from tests.builders import deployment, queries, random_prices

ONLINE = [
    "round_robin", "random", "weighted_round_robin", "weighted_random", "least_loaded", "power_of_two",
    {"name": "zeta_cost", "zeta": 0.3}, {"name": "zeta_cost", "accumulate": False},
    {"name": "queue_aware", "predictor": "mean"}, {"name": "energy_slo", "slo_s": 1.0},
    {"name": "energy_slo", "slo_s": 1.0, "predictor": {"name": "quantile", "q": 0.8}},
    {"name": "dual_price", "min_share": 0.3, "first_queries": 5},
    {"name": "zeta_cost", "zeta": 0.7, "against": "runtime", "predictor": {"name": "noisy", "sigma": 1.0}},
]  # fmt: skip


def play(prices, node, seed=0):
    engines = [Simulator().open(item) for item in prices.deployments]
    settings_ = {"name": node} if isinstance(node, str) else node
    return run_policy(
        Entry("x", POLICIES.build(node), settings_), prices, engines, np.random.default_rng(seed)
    )


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.integers(1, 4),
    st.sampled_from(ONLINE),
    st.floats(0, 1),
    st.sampled_from(["accuracy", "runtime"]),
)
def test_no_online_policy_is_below_the_optimum_with_its_counts(seed, n, k, node, zeta, against):
    run = play(random_prices(np.random.default_rng(seed), n, k), node, seed)
    found = regret(run.prices, run.ledger.deployment, Objective(zeta=zeta, against=against))
    assert found.regret >= -1e-12 * max(abs(found.optimum), 1.0) * n
    assert found.lower_bound <= found.optimum + 1e-9
    assert found.optimum - found.lower_bound <= 1e-9 * n
    assert found.energy_j == pytest.approx(float(run.ledger.energy_j.sum()), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_the_offline_optimum_has_no_regret(seed, zeta):
    prices = random_prices(np.random.default_rng(seed), 40, 3)
    prices = prices.take(np.flatnonzero(prices.fits))
    objective = Objective(zeta=zeta)
    plan = Optimal(zeta=zeta, min_queries=0).plan(prices, np.random.default_rng(0))
    assert regret(prices, plan.deployment, objective).regret == pytest.approx(0.0, abs=1e-9)


def test_regret_is_what_knowing_all_queries_is_worth():
    deployments = [deployment("small", joules=1.0), deployment("large", joules=2.0)]
    prices = price(queries([10, 90], [10, 10]), deployments)
    found = regret(prices, np.array([0, 1]), Objective(zeta=1.0))
    assert (found.energy_j, found.optimum_energy_j) == (20 + 200, 40 + 100)
    assert found.regret == pytest.approx((220 - 140) / 200)


def test_without_energy_curves_the_regret_of_runtime_is_known_and_joules_are_not():
    deployments = [deployment("a", joules=None), deployment("b", joules=None, seconds=0.02)]
    prices = price(queries([10, 90], [10, 10]), deployments)
    found = regret(prices, np.array([0, 1]), Objective(zeta=0.0, against="runtime"))
    assert found.regret > 0
    assert found.energy_j is None
