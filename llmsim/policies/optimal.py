"""The offline optimum of energy against accuracy or runtime, with its proof."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from llmsim.fleet.prices import Prices
from llmsim.policies.contract import Plan
from llmsim.policies.limits import Limits
from llmsim.policies.objective import Objective, PricedCost
from llmsim.policies.planning import best_plan


@dataclass
class Optimal(Limits, Objective):
    """The least total of the objective within the limits; its settings are those of both."""

    def __post_init__(self) -> None:
        Objective.__post_init__(self)
        Limits.__post_init__(self)

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The optimal deployment of every query, and its certificate.

        Raises:
            InputError: the limits cannot be met, or a price that counts is absent.
        """
        prices = self.within_latency(prices)
        return self.plan_of(prices, self.priced(prices))

    def plan_of(self, prices: Prices, priced: PricedCost) -> Plan:
        """The plan for costs that are known already; raises as `plan` does."""
        return best_plan(priced, self.bounds_for(prices), self.time(prices, priced.groups))
