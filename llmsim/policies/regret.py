"""How far a policy's choices are from the best with the same counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.assignment import assign, total
from llmsim.policies.bounds import Bounds
from llmsim.policies.groups import Groups
from llmsim.policies.objective import Objective


@dataclass(frozen=True)
class Regret:
    """A policy's choices against the offline optimum with that policy's number of queries on each deployment.

    Same prices, same eligibility: what knowing all queries at once is worth, apart from how many go where.

    Attributes:
        objective, optimum: priced cost of the choices, and the least with their counts.
        lower_bound: the dual value that proves the optimum.
        regret: objective minus optimum; not negative but for rounding.
        regret_relative: of the optimum's size, as in a certificate's gap.
        energy_j, optimum_energy_j: predicted joules of the choices and of that optimum, gross; None where
            some deployment has no energy curve. Their difference may have either sign, unless zeta is 1.
    """

    objective: float
    optimum: float
    lower_bound: float
    regret: float
    regret_relative: float
    energy_j: float | None
    optimum_energy_j: float | None


def regret(prices: Prices, deployment: IntArray, objective: Objective) -> Regret:
    """The regret of choices by an objective.

    Args:
        prices: the queries that were served.
        deployment: where each was, shape (n,).

    Raises:
        InputError: the objective needs a price that is absent.
    """
    priced = objective.priced(prices)
    chosen = flow_of(priced.groups, deployment, len(prices.deployments))
    counts = chosen.sum(axis=0)
    names = tuple(item.name for item in prices.deployments)
    solved = assign(priced.cost, priced.groups.count, priced.eligible, Bounds(names, counts, counts))
    spent = total(priced.cost, chosen)
    size = abs(total(priced.size, solved.flow))
    difference = spent - solved.objective
    try:
        energy_j = priced.groups.of_pairs(prices.energy_j)
    except InputError:
        own_j = best_j = None
    else:
        own_j, best_j = total(energy_j, chosen), total(energy_j, solved.flow)
    return Regret(
        objective=spent,
        optimum=solved.objective,
        lower_bound=solved.lower_bound,
        regret=difference,
        regret_relative=difference / size if size > 0 else difference,
        energy_j=own_j,
        optimum_energy_j=best_j,
    )


def flow_of(groups: Groups, deployment: IntArray, size: int) -> IntArray:
    """Queries of each group on each deployment, shape (g, size), from each query's deployment, shape (n,)."""
    number = len(groups.count)
    flat = np.bincount(deployment * number + groups.group_of, minlength=size * number)
    flow: IntArray = flat.reshape(size, number).T.astype(np.int64, copy=False)
    return flow
