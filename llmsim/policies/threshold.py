"""Short queries to one deployment, long ones to the other: the companion paper's rule for hybrid clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices
from llmsim.policies.contract import Certificate, Plan
from llmsim.policies.counts import by_deployment
from llmsim.policies.objective import Objective, PricedCost, known

KEYS = ("tau_in", "tau_out", "product")
SCOPE = (
    "The lower bound is the optimum between the two deployments, query by query: the gap is what deciding "
    "by a threshold loses. Both are priced cost: no waiting, no idle energy, no error of the curves."
)


@dataclass
class Threshold(Objective):
    """A query goes to `short` when its key is at most the threshold, and to `long` otherwise.

    One that does not fit where it should go takes the other. (Wilkins, Keshav, Mortier, *Hybrid Heterogeneous
    Clusters Can Lower the Energy Consumption of LLM Inference Workloads*, 2024.)

    Attributes:
        key: ``tau_in``, ``tau_out`` or their ``product``.
        threshold: None: the one of least cost, found exactly.
        short, long: deployments, by name or hardware; None where only two are there: the first and second.
        zeta, against, energy_basis, normalise: the cost, as in Objective; energy against runtime.
    """

    zeta: float = 1.0
    against: str = "runtime"
    key: str = "tau_out"
    threshold: float | None = None
    short: str | None = None
    long: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        known("policy.key", self.key, KEYS)

    def accepts(self, prices: Prices) -> BoolArray:
        """The queries that fit one of the two."""
        short, long = self._two(prices.deployments)
        fits: BoolArray = prices.eligible[:, short] | prices.eligible[:, long]
        return fits[prices.pair_of]

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The plan by the threshold, and a certificate of its loss against the optimum of the two.

        Raises:
            InputError: the two deployments are not told, or a price that counts is absent.
        """
        short, long = self._two(prices.deployments)
        inside = np.zeros(len(prices.deployments), dtype=bool)
        inside[[short, long]] = True
        priced = self.priced(replace(prices, eligible=prices.eligible & inside))
        key = priced.groups.of_pairs(self._keys(prices))
        here, there = priced.eligible[:, short], priced.eligible[:, long]
        count = priced.groups.count.astype(np.float64)
        low = np.where(here, priced.cost[:, short], priced.cost[:, long]) * count
        high = np.where(there, priced.cost[:, long], priced.cost[:, short]) * count
        limit = best_threshold(key, low, high) if self.threshold is None else self.threshold
        to_short = np.where(key <= limit, here, ~there)
        size = np.where(to_short, priced.size[:, short], priced.size[:, long]) @ count
        certificate = self._certificate(
            priced, (short, long), float(np.where(key <= limit, low, high).sum()), float(size)
        )
        certificate = replace(
            certificate, constants={**certificate.constants, f"threshold_{self.key}": limit}
        )
        return Plan(np.where(to_short, short, long)[priced.groups.group_of], certificate)

    def _keys(self, prices: Prices) -> FloatArray:
        keys = {"tau_in": prices.tau_in, "tau_out": prices.tau_out, "product": prices.tau_in * prices.tau_out}
        return keys[self.key].astype(np.float64)

    def _certificate(
        self, priced: PricedCost, two: tuple[int, int], objective: float, size: float
    ) -> Certificate:
        least = np.where(priced.eligible, priced.cost, np.inf)[:, two].min(axis=1)
        bound = float(least @ priced.groups.count)
        difference = objective - bound
        return Certificate(
            objective=objective,
            lower_bound=bound,
            gap=difference / abs(size) if size else difference,
            scale=abs(size),
            solver="sorted, every threshold" if self.threshold is None else "as set",
            bounds={},
            constants=priced.constants,
            scope=SCOPE,
        )

    def _two(self, deployments: Sequence[Deployment]) -> tuple[int, int]:
        names = [item.name for item in deployments]
        if self.short is None and self.long is None and len(names) == 2:
            return 0, 1
        if self.short is None or self.long is None:
            raise InputError(
                f"policy.short and policy.long: name the two deployments, of {', '.join(names)}."
            )
        short, long = (
            _index(name, deployments, where)
            for name, where in ((self.short, "policy.short"), (self.long, "policy.long"))
        )
        if short == long:
            raise InputError(f"policy.short and policy.long are both {names[short]}: name two deployments.")
        return short, long


def best_threshold(key: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """The threshold of least cost; the lowest among equals.

    Args:
        key: of each group, shape (g,).
        low, high: cost of the group at or below the threshold, and above it, shape (g,).

    Returns:
        A key of some group, or minus infinity where all are best above.
    """
    keys, row = np.unique(key, return_inverse=True)
    change = np.bincount(row.ravel(), weights=low - high, minlength=len(keys))
    totals = np.concatenate([[0.0], np.cumsum(change)])
    best = int(np.argmin(totals))
    return -np.inf if best == 0 else float(keys[best - 1])


def _index(name: str, deployments: Sequence[Deployment], where: str) -> int:
    """A deployment by its name, its model's or its hardware's, where only one has it."""
    found = [i for i, item in enumerate(deployments) if item.target.hardware.name == name]
    if len(found) == 1:
        return found[0]
    names = [item.name for item in deployments]
    (meant,) = by_deployment({name: 0}, names, where)
    return names.index(meant)
