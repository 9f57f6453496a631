"""Plans within bounds on time, energy, accuracy and latency: brute force, proofs, complaints."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.fleet.prices import price
from llmsim.policies import cutting, rounding, sifting
from llmsim.policies.bounds import bounds_of
from llmsim.policies.optimal import Optimal
from llmsim.policies.resources import Resource, ResourceProblem
from llmsim.policies.targets import LeastEnergy, MostAccurate
from tests.builders import deployment, queries, random_prices

RNG = np.random.default_rng(0)


def table(prices, values):
    return values[prices.pair_of]


def plans(prices):
    """Every eligible plan of a small problem: choices, joules, mean accuracy, seconds by deployment."""
    n, k = len(prices.queries), len(prices.deployments)
    energy, seconds = table(prices, prices.energy_j), table(prices, prices.runtime_s)
    eligible = table(prices, prices.eligible)
    tokens = prices.queries.tau_in + prices.queries.tau_out
    rows = np.arange(n)
    for choice in itertools.product(range(k), repeat=n):
        chosen = (rows, list(choice))
        if eligible[chosen].all():
            busy = np.bincount(choice, weights=seconds[chosen], minlength=k)
            yield choice, energy[chosen].sum(), (prices.accuracy_pct[chosen] @ tokens) / tokens.sum(), busy


def small(seed):
    rng = np.random.default_rng(seed)
    prices = random_prices(rng, int(rng.integers(2, 6)), int(rng.integers(2, 4)))
    return prices.take(np.flatnonzero(prices.fits)), rng


def lines_up(certificate, best):
    assert certificate.objective == pytest.approx(best, rel=1e-9)
    assert certificate.lower_bound <= certificate.objective + 1e-9 * certificate.scale
    assert certificate.gap <= 1e-9


@settings(deadline=None, max_examples=40)
@example(499)  # CP-SAT's presolve cut off the optimum here
@given(st.integers(0, 2**32))
def test_the_least_energy_at_an_accuracy_is_that_of_brute_force(seed):
    prices, rng = small(seed)
    if not len(prices.queries):
        return
    found = list(plans(prices))
    floor = float(rng.uniform(min(p[2] for p in found), max(p[2] for p in found)))
    best = min(p[1] for p in found if p[2] >= floor * (1 - 1e-9))
    plan = LeastEnergy(min_accuracy_pct=floor, min_queries=0).plan(prices, rng)
    lines_up(plan.certificate, best)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_the_greatest_accuracy_within_a_budget_is_that_of_brute_force(seed):
    prices, rng = small(seed)
    if not len(prices.queries):
        return
    found = list(plans(prices))
    budget = float(rng.uniform(min(p[1] for p in found), max(p[1] for p in found))) * (1 + 1e-6)
    tokens = float((prices.queries.tau_in + prices.queries.tau_out).sum())
    best = max(p[2] for p in found if p[1] <= budget) * tokens
    plan = MostAccurate(max_energy_j=budget, min_queries=0).plan(prices, rng)
    lines_up(plan.certificate, -best)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_the_optimum_within_instance_seconds_is_that_of_brute_force(seed):
    prices, rng = small(seed)
    if not len(prices.queries):
        return
    found = list(plans(prices))
    some = found[int(rng.integers(len(found)))][3]
    capacity = some * rng.uniform(1.0, 1.3, len(some)) + 1e-6
    best = min(p[1] for p in found if (p[3] <= capacity).all())
    busy_s = {item.name: float(s) for item, s in zip(prices.deployments, capacity, strict=True)}
    plan = LeastEnergy(busy_s=busy_s, min_queries=0).plan(prices, rng)
    lines_up(plan.certificate, best)


def many(seed, n=400, k=4):
    """Queries of differing kinds: costs that are not proportional to times."""
    rng = np.random.default_rng(seed)
    cost = rng.lognormal(0, 1, (k, n)).T
    usage = rng.lognormal(0, 1, (k, n)).T
    places = cost.argmin(axis=1)
    free = np.bincount(places, weights=usage[np.arange(n), places], minlength=k)
    capacity = np.where(np.arange(k) < k // 2, 0.6 * free, 2.0 * free)
    seconds = Resource("seconds", usage, np.arange(k), capacity, tuple("abcd"[:k]), "busy_s")
    bounds = bounds_of(tuple("abcd"[:k]), [5] * k, [None] * k, n)
    return ResourceProblem(cost, np.ones(n, np.int64), np.ones((n, k), bool), bounds, (seconds,))


@settings(deadline=None, max_examples=15)
@example(2903080624)
@given(st.integers(0, 2**32))
def test_a_rounded_plan_keeps_every_bound_and_is_near_its_proof(seed):
    problem = many(seed)
    relaxed = sifting.sift(problem)
    rounded = rounding.round_plan(problem, relaxed, problem.cost.sum())
    flow, (seconds,) = rounded.flow, problem.resources
    assert (flow.sum(axis=1) == 1).all()
    assert (flow.sum(axis=0) >= 5).all()
    assert ((flow * seconds.usage).sum(axis=0) <= seconds.capacity).all()
    objective, bound = float((flow * problem.cost).sum()), problem.dual_value(relaxed.prices)
    assert bound <= objective * (1 + 1e-12)
    assert objective - bound <= 1e-3 * objective


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_no_prices_bound_a_relaxation_above_its_optimum(seed, other):
    problem = many(seed)
    best = problem.dual_value(sifting.sift(problem).prices)
    rng = np.random.default_rng(other)
    prices = np.concatenate([rng.normal(size=4), rng.exponential(size=4)])
    assert problem.dual_value(prices) <= best + 1e-9 * problem.cost.sum()


@pytest.mark.parametrize("seed", range(5))
def test_cutting_planes_come_near_the_optimum_of_the_relaxation(seed):
    problem = many(seed, n=6000)
    refined = cutting.search(problem).prices
    exact = sifting.sift(problem, sifting.Guess(refined))
    best = problem.dual_value(exact.prices)
    assert best - problem.dual_value(refined) <= 1e-9 * abs(best)


def proportional(seed, n=12000, apart=1e-7):
    """Deployments that are dearer copies of one, in joules as in seconds: nearly every query is undecided."""
    rng = np.random.default_rng(seed)
    joules = rng.lognormal(0, 1, n)
    seconds = joules * rng.uniform(1 - apart, 1 + apart, n)
    dearer, names = np.array([1.0, 1.1, 1.2]), ("a", "b", "c")
    capacity = np.array([0.3, 0.35, 2.0]) * seconds.sum()
    usage = Resource("seconds", np.outer(seconds, dearer), np.arange(3), capacity, names, "busy_s")
    bounds = bounds_of(names, [0] * 3, [None] * 3, n)
    count, eligible = np.ones(n, np.int64), np.ones((n, 3), bool)
    return ResourceProblem(np.outer(joules, dearer), count, eligible, bounds, (usage,))


@pytest.mark.parametrize("apart", [0.0, 1e-7])
@pytest.mark.parametrize("seed", range(3))
def test_plans_together_keep_the_bounds_where_no_single_one_does(seed, apart):
    problem = proportional(seed, apart=apart)
    found = cutting.search(problem)
    alone, _ = sifting.best_places(problem, found.prices)
    together = found.places(problem)
    assert problem.mismatch(together, found.prices) < min(1, problem.mismatch(alone, found.prices) / 4)
    size = problem.cost.sum()
    solved = sifting.sift(problem, sifting.Guess(found.prices, together, 1e-6 * size))
    assert len(solved.rows) < len(together) / 4  # the solver had few of them
    flow = solved.table(problem.count)
    assert ((flow * problem.resources[0].usage).sum(axis=0) <= problem.resources[0].capacity + 1e-6).all()
    assert sifting.cost_of(problem, solved) - problem.dual_value(solved.prices) <= 1e-6 * size


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_costs_that_are_zero_everywhere_leave_the_bounds_to_be_kept():
    problem = proportional(0)
    problem = replace(problem, cost=0 * problem.cost)
    found = cutting.search(problem)
    solved = sifting.sift(problem, sifting.Guess(found.prices, found.places(problem)))
    used = (solved.table(problem.count) * problem.resources[0].usage).sum(axis=0)
    assert (used <= problem.resources[0].capacity * (1 + 1e-9)).all()


def fleet(**changes):
    return [
        deployment("small", joules=1.0, seconds=0.01, accuracy=50.0, share=0.5, instances=2, **changes),
        deployment("large", joules=3.0, seconds=0.05, accuracy=70.0, share=0.5, instances=1, **changes),
    ]


def test_a_query_goes_only_where_its_predicted_latency_is_in_time():
    prices = price(queries([10, 100], [10, 100]), fleet())
    policy = Optimal(zeta=0.0, min_queries=0, max_latency_s=5.0)
    assert policy.plan(prices, RNG).deployment.tolist() == [1, 0]


def test_a_query_that_is_in_time_nowhere_is_not_accepted():
    prices = price(queries([10, 300], [10, 300]), fleet())
    assert Optimal(max_latency_s=5.0).accepts(prices).tolist() == [True, False]


def test_a_window_gives_each_deployment_the_seconds_of_its_instances():
    prices = price(queries([100] * 6, [100] * 6), fleet())  # 2 s on small, 10 s on large
    plan = Optimal(zeta=1.0, min_queries=0, window_s=10.0).plan(prices, RNG)
    assert plan.deployment.tolist() == [0] * 6
    plan = Optimal(zeta=0.0, min_queries=0, window_s=10.0).plan(prices, RNG)
    assert sorted(plan.deployment.tolist()) == [0] * 5 + [1]
    assert plan.certificate.constants["capacities"]["instance-seconds"] == {
        "small@box": 20.0,
        "large@box": 10.0,
    }


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (LeastEnergy(min_accuracy_pct=71.0), r"min_accuracy_pct=71.0: the most accurate plan reaches 70 %"),
        (MostAccurate(max_energy_j=100.0), r"max_energy_j=100.0: the plan of least energy takes 1200 J"),
        (Optimal(window_s=0.5), r"limits collide: the instance-seconds of small@box, large@box .* at least"),
        (LeastEnergy(min_accuracy_pct=70.0, min_queries=1), "no plan was found|limits collide"),
    ],
)
def test_limits_that_cannot_be_kept_say_by_how_much(policy, message):
    prices = price(queries([100] * 6, [100] * 6), fleet())
    with pytest.raises(InputError, match=message):
        policy.plan(prices, RNG)


def test_a_latency_without_runtime_curves_says_so():
    bare = [deployment("a", seconds=None), deployment("b")]
    with pytest.raises(InputError, match="a@box has no runtime curve"):
        Optimal(max_latency_s=1.0).accepts(price(queries([10], [10]), bare))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimal(max_latency_s=-1.0), "policy.max_latency_s=-1.0: expected a number of seconds"),
        (lambda: Optimal(busy_s={"a": float("nan")}), "policy.busy_s.a=nan"),
        (lambda: Optimal(at_least={"a": -1}), "policy.at_least.a=-1"),
        (lambda: LeastEnergy(energy_basis="net"), "policy.energy_basis=net: no such energy_basis"),
        (lambda: Optimal(against="time"), "policy.against=time: no such against"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_bounds_of_a_deployment_by_name_or_by_model():
    bounds = Optimal(at_least={"small": 3}, at_most={"large@box": 2}).bounds(
        [0.5, 0.5], ["small@box", "large@box"], 10
    )
    assert bounds.lower.tolist() == [3, 1]
    assert bounds.upper.tolist() == [10, 2]
    with pytest.raises(InputError, match=r"policy.at_least.smal: no such deployment. Did you mean"):
        Optimal(at_least={"smal": 3}).bounds([1.0], ["small@box"], 10)


def test_joules_above_idle_leave_out_what_an_idle_instance_draws():
    prices = price(queries([10], [10]), [deployment(joules=3.0, seconds=0.1, idle=10.0)])
    assert prices.energy("gross").tolist() == [[60.0]]
    assert prices.energy("above_idle").tolist() == [[40.0]]


def test_joules_above_idle_need_an_idle_power():
    prices = price(queries([10], [10]), [deployment(idle=None)])
    with pytest.raises(InputError, match="no source states the idle power of box"):
        prices.energy("above_idle")


def test_energy_against_runtime_weighs_seconds():
    quick = deployment("quick", joules=3.0, seconds=0.01)
    thrifty = deployment("thrifty", joules=1.0, seconds=0.1)
    prices = price(queries([10], [10]), [quick, thrifty])
    chosen = [
        Optimal(zeta=zeta, against="runtime", min_queries=0).plan(prices, RNG).deployment[0]
        for zeta in (0.0, 1.0)
    ]
    assert chosen == [0, 1]
