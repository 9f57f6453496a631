"""The optimum of the assignment: brute force, another solver, duality, and what it is invariant to."""

from __future__ import annotations

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.policies import sifting
from llmsim.policies.assignment import assign, expand
from llmsim.policies.bounds import Room, bounds_of, check_feasible
from llmsim.policies.flow import CountProblem, min_cost_flow
from llmsim.policies.ties import find_ties

# The fixture below sets one thing for all examples of a law.
LAW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def problems(draw, largest_n=7, largest_k=3):
    """A feasible problem: random costs, eligibility and bounds around a random assignment that keeps them."""
    n = draw(st.integers(1, largest_n))
    k = draw(st.integers(1, largest_k))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    cost = rng.normal(size=(n, k)) * 10.0 ** draw(st.integers(-6, 6))
    eligible = rng.random((n, k)) < 0.7
    some = rng.integers(0, k, n)
    eligible[np.arange(n), some] = True
    load = np.bincount(some, minlength=k)
    lower = np.maximum(0, load - rng.integers(0, 3, k))
    upper = load + rng.integers(0, 3, k)
    return cost, eligible, bounds_of([f"d{i}" for i in range(k)], lower.tolist(), upper.tolist(), n)


def brute_force(cost, eligible, bounds):
    n, k = cost.shape
    best = np.inf
    for choice in itertools.product(range(k), repeat=n):
        load = np.bincount(choice, minlength=k)
        if (
            eligible[np.arange(n), list(choice)].all()
            and (load >= bounds.lower).all()
            and (load <= bounds.upper).all()
        ):
            best = min(best, cost[np.arange(n), list(choice)].sum())
    return best


def solve(cost, eligible, bounds):
    return assign(cost, np.ones(len(cost), dtype=np.int64), eligible, bounds)


@pytest.fixture(params=["direct", "sifted"], autouse=True)
def every_law_holds_for_both_ways(request, monkeypatch):
    """Small problems take the min-cost flow alone; here sifting solves them as well."""
    if request.param == "sifted":
        monkeypatch.setattr(sifting, "DIRECT", 1)


@LAW
@given(problems())
def test_the_optimum_is_that_of_brute_force(problem):
    cost, eligible, bounds = problem
    assert solve(*problem).objective == pytest.approx(
        brute_force(cost, eligible, bounds), rel=1e-12, abs=1e-12
    )


@LAW
@given(problems(largest_n=40, largest_k=5))
def test_the_optimum_is_that_of_networkx_network_simplex(problem):
    cost, eligible, bounds = problem
    n, k = cost.shape
    scale = 1e6 / np.abs(cost).max()
    whole = np.rint(cost * scale)
    graph = networkx.DiGraph()
    graph.add_node("sink", demand=n - int(bounds.lower.sum()))
    for j in range(k):
        graph.add_node(f"d{j}", demand=int(bounds.lower[j]))
        graph.add_edge(f"d{j}", "sink", capacity=int(bounds.upper[j] - bounds.lower[j]), weight=0)
    for i in range(n):
        graph.add_node(i, demand=-1)
        for j in np.flatnonzero(eligible[i]):
            graph.add_edge(i, f"d{j}", weight=int(whole[i, j]), capacity=1)
    expected, _ = networkx.network_simplex(graph)
    assert solve(whole, eligible, bounds).objective == expected


@LAW
@given(problems(largest_n=30, largest_k=5))
def test_the_dual_bound_meets_the_objective(problem):
    cost, _, _ = problem
    solved = solve(*problem)
    size = np.abs(cost).sum()
    assert solved.lower_bound <= solved.objective + 1e-12 * size
    assert solved.objective - solved.lower_bound <= 1e-11 * size


@LAW
@given(problems(), st.integers(0, 2**32))
def test_no_prices_give_a_bound_above_the_optimum(problem, seed):
    cost, eligible, bounds = problem
    prices = np.random.default_rng(seed).normal(size=cost.shape[1]) * np.abs(cost).max()
    value = CountProblem(cost, np.ones(len(cost)), eligible, Room.apart(bounds)).dual_value(prices)
    assert value <= solve(*problem).objective + 1e-9 * np.abs(cost).sum()


@LAW
@given(problems(largest_n=30, largest_k=5))
def test_every_query_is_served_where_it_may_be_within_the_bounds(problem):
    _, eligible, bounds = problem
    flow = solve(*problem).flow
    assert (flow.sum(axis=1) == 1).all()
    assert (flow[~eligible] == 0).all()
    assert (flow.sum(axis=0) >= bounds.lower).all()
    assert (flow.sum(axis=0) <= bounds.upper).all()


@LAW
@given(problems(largest_n=20), st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(problem, random):
    cost, eligible, bounds = problem
    order = list(range(len(cost)))
    random.shuffle(order)
    again = solve(cost[order], eligible[order], bounds).objective
    assert again == pytest.approx(solve(*problem).objective, rel=1e-12, abs=1e-12)


@LAW
@given(problems(largest_n=20), st.floats(1e-9, 1e9))
def test_a_common_scale_of_costs_scales_the_optimum(problem, scale):
    cost, eligible, bounds = problem
    assert solve(scale * cost, eligible, bounds).objective == pytest.approx(
        scale * solve(*problem).objective, rel=1e-9, abs=1e-9 * scale * np.abs(cost).sum()
    )


@LAW
@given(problems(largest_n=20))
def test_a_deployment_split_in_two_with_its_bounds_changes_nothing(problem):
    cost, eligible, bounds = problem
    low, high = int(bounds.lower[0]), int(bounds.upper[0])
    lower = [low // 2, low - low // 2, *bounds.lower[1:].tolist()]
    upper = [high // 2, high - high // 2, *bounds.upper[1:].tolist()]
    split = bounds_of(["a", "b", *bounds.names[1:]], lower, upper, len(cost))
    columns = [0, 0, *range(1, cost.shape[1])]
    again = solve(cost[:, columns], eligible[:, columns], split).objective
    assert again == pytest.approx(solve(*problem).objective, rel=1e-12, abs=1e-12)


@LAW
@given(
    problems(largest_n=9, largest_k=5), st.integers(0, 2**32), st.booleans(), st.sampled_from([0.0, 0.1, 3.0])
)
def test_what_is_tied_is_taken_as_one_and_proved_all_the_same(problem, seed, alike, apart):
    cost, eligible, bounds = problem
    rng = np.random.default_rng(seed)
    n, k = cost.shape
    if alike:  # every query costs the same
        cost = np.tile(cost[0], (n, 1))
    twin = rng.integers(0, k, k)
    for first in range(k):  # what is tied to the first may itself be the first of another class
        constants = apart * np.abs(cost).max() * rng.integers(-2, 3, k)[twin == first]
        cost[:, twin == first] = cost[:, first : first + 1] + constants
        eligible[:, twin == first] = eligible[:, first : first + 1]
    eligible[~eligible.any(axis=1)] = True
    count = rng.integers(1, 5, n)
    some = np.array([rng.choice(np.flatnonzero(row)) for row in eligible])
    load = np.bincount(some, weights=count, minlength=k).astype(int)
    lower, upper = np.maximum(load - rng.integers(0, 4, k), 0), load + rng.integers(0, 4, k)
    bounds = bounds_of(bounds.names, lower.tolist(), upper.tolist(), int(count.sum()))
    found = assign(cost, count, eligible, bounds)
    problem = CountProblem(cost, count, eligible, Room.apart(bounds))
    assert find_ties(problem).condensed().cost.shape[1] <= len(np.unique(twin))
    direct = min_cost_flow(cost, count, eligible, Room.apart(bounds))
    size = np.abs(cost).sum() * count.max()
    assert found.objective == pytest.approx((cost * direct).sum(), rel=1e-9, abs=1e-9 * size)
    assert found.lower_bound == pytest.approx(found.objective, rel=1e-9, abs=1e-9 * size)
    assert (found.flow.sum(axis=1) == count).all()
    assert not found.flow[~eligible].any()
    assert (found.flow.sum(axis=0) >= bounds.lower).all()
    assert (found.flow.sum(axis=0) <= bounds.upper).all()


@pytest.mark.parametrize("apart", [0.0, 0.7])
def test_deployments_that_differ_by_a_constant_are_quick_to_decide_among_many_queries(apart):
    """Were they not taken as one, the exact solver would get all queries."""
    rng = np.random.default_rng(0)
    cost = np.tile(rng.random((20_000, 4)), (1, 2))
    cost[:, 4:] += apart
    bounds = bounds_of(list("abcdefgh"), [2_600] * 8, [None] * 8, len(cost))
    with_ties = find_ties(CountProblem(cost, np.ones(len(cost), np.int64), cost >= 0, Room.apart(bounds)))
    assert with_ties.condensed().cost.shape == (20_000, 4)
    with pytest.raises(InputError, match="800 too many"):
        solve(cost, cost >= 0, bounds)
    bounds = bounds_of(list("abcdefgh"), [2_400] * 8, [None] * 8, len(cost))
    found = solve(cost, cost >= 0, bounds)
    assert "undecided" in found.solver
    assert found.flow.sum(axis=0).min() == 2_400
    assert found.objective - found.lower_bound <= 1e-12 * found.objective


@pytest.mark.parametrize("every_law_holds_for_both_ways", ["direct"], indirect=True)  # both would sift
@LAW
@given(st.integers(0, 2**32), st.integers(2, 6), st.booleans())
def test_sifting_thousands_of_queries_proves_its_optimum(seed, k, ties):
    rng = np.random.default_rng(seed)
    n = 6000
    cost = rng.lognormal(0, 2, size=(n, k))
    if ties:
        cost = np.ceil(cost)
    eligible = rng.random((n, k)) < 0.9
    some = rng.integers(0, k, n)
    eligible[np.arange(n), some] = True
    load = np.bincount(some, minlength=k)
    bounds = bounds_of([f"d{i}" for i in range(k)], (load - 100).tolist(), (load + 100).tolist(), n)
    solved = solve(cost, eligible, bounds)
    assert abs(solved.objective - solved.lower_bound) <= 1e-11 * np.abs(cost).sum()
    assert (solved.flow.sum(axis=1) == 1).all()
    assert (solved.flow[~eligible] == 0).all()
    assert (np.abs(solved.flow.sum(axis=0) - load) <= 100).all()


@LAW
@given(st.integers(0, 2**32))
def test_expanding_a_flow_gives_each_group_its_counts(seed):
    rng = np.random.default_rng(seed)
    group_of = np.concatenate([np.arange(4), rng.integers(0, 4, 20)])
    rng.shuffle(group_of)
    flow = np.stack([rng.multinomial((group_of == g).sum(), [0.2, 0.3, 0.5]) for g in range(4)])
    chosen = expand(flow, group_of)
    again = np.zeros_like(flow)
    np.add.at(again, (group_of, chosen), 1)
    assert (again == flow).all()


def test_lower_bounds_that_need_more_queries_than_fit_are_named():
    eligible = np.array([[True, True, False], [True, True, False], [True, False, True]])
    bounds = bounds_of(["a", "b", "c"], [0, 1, 2], [None, None, None], 3)
    with pytest.raises(InputError, match=r"lower bounds of c need 2 queries together, and only 1 of 3"):
        check_feasible(np.ones(3, np.int64), eligible, bounds)


def test_upper_bounds_that_leave_no_room_are_named():
    bounds = bounds_of(["a", "b"], [0, 0], [1, 1], 3)
    with pytest.raises(InputError, match=r"upper bounds of a, b leave room for 2 queries.*1 too many"):
        check_feasible(np.ones(3, np.int64), np.ones((3, 2), bool), bounds)


def test_a_lower_bound_above_its_upper_bound_is_named():
    with pytest.raises(InputError, match="a: at least 2 and at most 1"):
        check_feasible(np.ones(3, np.int64), np.ones((3, 1), bool), bounds_of(["a"], [2], [1], 3))


def test_a_cost_that_is_not_finite_names_its_deployment():
    cost = np.array([[0.0, np.nan], [0.0, 1.0]])
    with pytest.raises(InputError, match="on b is not finite"):
        solve(cost, np.ones((2, 2), bool), bounds_of(["a", "b"], [0, 0], [None, None], 2))
