"""The optimal policy: its cost, its bounds, its certificate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.policies import POLICIES
from llmsim.policies.optimal import Optimal
from tests.builders import deployment, queries, random_prices

RNG = np.random.default_rng(0)


def three():
    return [
        deployment("small", joules=1.0, accuracy=50.0, share=0.05),
        deployment("middle", joules=2.0, accuracy=55.0, share=0.2),
        deployment("large", joules=8.0, accuracy=65.0, share=0.75),
    ]


def test_energy_alone_sends_all_but_the_bounds_to_the_cheapest():
    plan = Optimal(zeta=1.0).plan(price(queries([10, 20, 30, 40], [5, 5, 5, 5]), three()), RNG)
    assert plan.deployment.tolist() == [2, 1, 0, 0]  # the shortest go where a token costs most


def test_accuracy_alone_sends_all_but_the_bounds_to_the_best():
    plan = Optimal(zeta=0.0).plan(price(queries([10, 20, 30, 40], [5, 5, 5, 5]), three()), RNG)
    assert plan.deployment.tolist() == [0, 1, 2, 2]


def test_without_bounds_each_query_goes_where_it_is_best_on_its_own():
    prices = price(queries([10, 20, 30], [5, 5, 5]), three())
    plan = Optimal(zeta=1.0, min_queries=0).plan(prices, RNG)
    assert plan.deployment.tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["max", "minmax"]), st.floats(0, 0.9))
def test_the_certificate_proves_the_plan(seed, zeta, normalise, min_share):
    rng = np.random.default_rng(seed)
    prices = random_prices(rng, 40, 3)
    policy = Optimal(zeta=zeta, normalise=normalise, min_share=min_share, min_queries=0)
    try:
        plan = policy.plan(prices, rng)
    except InputError:  # which bounds collide is tested where they are checked
        assume(False)
    proof = plan.certificate
    e = prices.energy_j
    a = (
        np.array([d.target.model.accuracy_pct for d in prices.deployments])
        * (prices.tau_in + prices.tau_out)[:, None]
    )

    def hat(values):
        chosen = values[prices.eligible]
        least = chosen.min() if normalise == "minmax" else 0.0
        return (values - least) / (chosen.max() - least)

    chosen = (prices.pair_of, plan.deployment)
    objective = (zeta * hat(e) - (1 - zeta) * hat(a))[chosen].sum()
    scale = (zeta * hat(e) + (1 - zeta) * hat(a))[chosen].sum()
    assert proof.objective == pytest.approx(objective, rel=1e-9, abs=1e-9)
    assert proof.scale == pytest.approx(scale, rel=1e-9)
    assert proof.gap == pytest.approx((proof.objective - proof.lower_bound) / scale, abs=1e-15)
    assert -1e-12 <= proof.gap <= 1e-9
    counts = np.bincount(plan.deployment, minlength=3)
    for count, (low, high) in zip(counts, proof.bounds.values(), strict=True):
        assert low <= count <= (high if high is not None else count)


def test_the_bounds_are_the_shares_of_the_eligible_queries():
    bounds = Optimal(min_share=0.25, max_share=1.5).bounds([0.05, 0.2, 0.75], ["a", "b", "c"], 17754)
    assert bounds.lower.tolist() == [221, 887, 3328]
    assert bounds.upper.tolist() == [1332, 5327, 17754]


def test_the_least_bound_is_one_query_each():
    assert Optimal().bounds([0.05, 0.95], ["a", "b"], 100).lower.tolist() == [1, 1]


def test_queries_that_were_refused_leave_no_trace_in_the_plan():
    prices = price(queries([10, 20, 30, 40], [5, 5, 5, 5]), three())
    kept = np.array([1, 3])
    plan = Optimal(min_queries=0).plan(prices.take(kept), RNG)
    alone = Optimal(min_queries=0).plan(price(prices.queries.take(kept), three()), RNG)
    assert plan.deployment.tolist() == alone.deployment.tolist()
    assert plan.certificate.objective == alone.certificate.objective


def test_a_workloads_own_accuracy_decides_query_by_query():
    own = {"small": np.array([0.0, 100.0]), "large": np.array([100.0, 0.0])}
    deployments = [deployment("small"), deployment("large")]
    prices = price(queries([10, 10], [5, 5], accuracy_pct=own), deployments)
    assert Optimal(zeta=0.0).plan(prices, RNG).deployment.tolist() == [1, 0]


def test_energy_alone_needs_no_accuracy():
    prices = price(queries([10, 20], [5, 5]), [deployment(accuracy=None)])
    assert Optimal(zeta=1.0).plan(prices, RNG).deployment.tolist() == [0, 0]


def test_an_unknown_accuracy_says_what_would_give_one():
    prices = price(queries([10, 20], [5, 5]), [deployment(accuracy=None)])
    with pytest.raises(InputError, match=r"m has no accuracy score: set model\.m\.accuracy_pct"):
        Optimal().plan(prices, RNG)


def test_an_unmeasured_energy_is_named():
    prices = price(queries([10, 20], [5, 5]), [deployment(joules=None)])
    with pytest.raises(InputError, match="m@box has no energy curve"):
        Optimal().plan(prices, RNG)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zeta": 1.5}, r"policy\.zeta=1\.5: expected a number from 0"),
        ({"zeta": float("nan")}, "policy.zeta=nan"),
        ({"zeta": "much"}, r"policy\.zeta"),
        ({"min_share": -0.1}, "policy.min_share=-0.1"),
        ({"max_share": float("inf")}, "policy.max_share=inf"),
        ({"min_queries": -1}, "policy.min_queries=-1"),
        ({"normalise": "mx"}, "Did you mean 'max'"),
        ({"zta": 0.3}, "Did you mean 'zeta'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        POLICIES.build({"name": "optimal", **settings})


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'optimal'"):
        POLICIES.build("optimol")
