"""The optimum against the paper's own way: an integer program in PuLP, solved by CBC."""

from __future__ import annotations

import time

import numpy as np
import pulp
import pytest

from llmsim.policies.assignment import assign
from llmsim.policies.bounds import bounds_of


def random_problem(n, k, seed=0):
    """Costs of which the first deployments are too cheap for their upper bounds, the last too dear."""
    rng = np.random.default_rng(seed)
    cost = rng.random((n, k)) + np.linspace(0, 0.5, k)
    bounds = bounds_of([f"d{i}" for i in range(k)], [n // (4 * k)] * k, [2 * n // k] * k, n)
    return cost, bounds


def by_cbc(cost, bounds):
    """Objective, and the seconds of the solve alone."""
    n, k = cost.shape
    program = pulp.LpProblem("assignment", pulp.LpMinimize)
    x = [[pulp.LpVariable(f"x_{i}_{j}", cat="Binary") for j in range(k)] for i in range(n)]
    program += pulp.lpSum(cost[i, j] * x[i][j] for i in range(n) for j in range(k))
    for i in range(n):
        program += pulp.lpSum(x[i]) == 1
    for j in range(k):
        served = pulp.lpSum(x[i][j] for i in range(n))
        program += served >= int(bounds.lower[j])
        program += served <= int(bounds.upper[j])
    start = time.perf_counter()
    status = program.solve(pulp.PULP_CBC_CMD(msg=False, gapRel=0.0))
    seconds = time.perf_counter() - start
    assert pulp.LpStatus[status] == "Optimal"
    return pulp.value(program.objective), seconds


def ours(cost, bounds):
    count, eligible = np.ones(len(cost), dtype=np.int64), np.ones(cost.shape, dtype=bool)
    start = time.perf_counter()
    solved = assign(cost, count, eligible, bounds)
    return solved.objective, time.perf_counter() - start


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulp")


def test_the_optimum_is_that_of_cbc():
    problem = random_problem(600, 4)
    expected, _ = by_cbc(*problem)
    assert ours(*problem)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_twenty_thousand_queries_on_seven_deployments_solve_500_times_faster_than_by_cbc():
    problem = random_problem(20_000, 7)
    expected, theirs_s = by_cbc(*problem)
    ours(*random_problem(100, 7))  # imports OR-Tools
    objective, ours_s = ours(*problem)
    print(f"CBC {theirs_s:.1f} s, ours {ours_s:.4f} s: {theirs_s / ours_s:.0f} times")
    assert objective == pytest.approx(expected, rel=1e-9)
    assert theirs_s >= 500 * ours_s
