"""The offline optimum of energy against accuracy, with its proof."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from llmsim.fleet.prices import Prices
from llmsim.policies.assignment import assign, expand
from llmsim.policies.bounds import Bounds
from llmsim.policies.contract import Certificate, Plan
from llmsim.policies.counts import CountBounds
from llmsim.policies.objective import Objective, PricedCost, total

SCOPE = (
    "It bounds the priced cost of the plan: what the curves predict for each query alone. "
    "It says nothing about waiting, idle energy or the curves' own error."
)


@dataclass
class Optimal(CountBounds, Objective):
    """The least total of the objective, within bounds on each deployment's number of queries.

    Its settings are those of `Objective` and `CountBounds`.
    """

    def __post_init__(self) -> None:
        Objective.__post_init__(self)
        CountBounds.__post_init__(self)

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The optimal deployment of every query, and its certificate.

        Raises:
            InputError: the bounds cannot be met, or a price that counts is absent.
        """
        return self.plan_of(prices, self.priced(prices))

    def plan_of(self, prices: Prices, priced: PricedCost) -> Plan:
        """The plan for costs that are known already; raises as `plan` does."""
        names = [item.name for item in prices.deployments]
        bounds = self.bounds([item.share for item in prices.deployments], names, len(prices.queries))
        return optimal_plan(priced, bounds)


def optimal_plan(priced: PricedCost, bounds: Bounds) -> Plan:
    """The plan of least cost within the bounds, and its certificate.

    Raises:
        InputError: the bounds cannot be met.
    """
    solved = assign(priced.cost, priced.groups.count, priced.eligible, bounds)
    scale = total(priced.size, solved.flow)
    difference = solved.objective - solved.lower_bound
    unbounded = int(priced.groups.count.sum())
    certificate = Certificate(
        objective=solved.objective,
        lower_bound=solved.lower_bound,
        gap=difference / scale if scale > 0 else difference,
        scale=scale,
        solver=solved.solver,
        bounds={
            name: (low, high if high < unbounded else None)
            for name, low, high in zip(
                bounds.names, bounds.lower.tolist(), bounds.upper.tolist(), strict=True
            )
        },
        constants=priced.constants,
        scope=SCOPE,
    )
    return Plan(expand(solved.flow, priced.groups.group_of), certificate)
