"""The offline optimum of energy against accuracy, with its proof."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.prices import Prices
from llmsim.policies.assignment import SOLVER, Bounds, assign, bounds_of, expand
from llmsim.policies.contract import Certificate, Plan

NORMALISATIONS = ("max", "minmax")
SCOPE = (
    "It bounds the priced cost of the plan: what the curves predict for each query alone. "
    "It says nothing about waiting, idle energy or the curves' own error."
)


@dataclass
class Optimal:
    """Least sum of `zeta * e_hat - (1 - zeta) * a_hat` (Wilkins et al. 2024, equation 2), within bounds.

    e_hat is joules and a_hat is accuracy times tokens, each divided by its largest value over all eligible
    (query, deployment) pairs of the run.

    Attributes:
        zeta: weight of energy against accuracy, in [0, 1].
        min_share: at least max(min_queries, floor(min_share * gamma_K * queries)) to deployment K.
        max_share: at most ceil(max_share * gamma_K * queries); None: no upper bound.
        min_queries: the least a deployment gets.
        normalise: ``max``, or ``minmax`` to subtract the least value too.
    """

    zeta: float = 0.5
    min_share: float = 0.0
    max_share: float | None = None
    min_queries: int = 1
    normalise: str = "max"

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:  # also refuses NaN
            raise InputError(
                f"policy.zeta={self.zeta}: expected a number from 0 (accuracy alone) to 1 (energy alone)."
            )
        if not (math.isfinite(self.min_share) and self.min_share >= 0):
            raise InputError(f"policy.min_share={self.min_share}: expected a number from 0 upwards.")
        if self.max_share is not None and not (math.isfinite(self.max_share) and self.max_share >= 0):
            raise InputError(f"policy.max_share={self.max_share}: expected a number from 0 upwards, or null.")
        if self.min_queries < 0:
            raise InputError(
                f"policy.min_queries={self.min_queries}: expected a whole number from 0 upwards."
            )
        if self.normalise not in NORMALISATIONS:
            raise InputError(
                f"policy.normalise={self.normalise}: no such way. "
                f"{did_you_mean(self.normalise, NORMALISATIONS, 'way')}"
            )

    def bounds(self, shares: Sequence[float], names: Sequence[str], queries: int) -> Bounds:
        """Least and most queries of each deployment for a number of queries to serve."""
        lower = [max(self.min_queries, _floor(self.min_share * share * queries)) for share in shares]
        upper = [
            None if self.max_share is None else math.ceil(self.max_share * share * queries - 1e-9)
            for share in shares
        ]
        return bounds_of(names, lower, upper, queries)

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The optimal deployment of every query, and its certificate.

        Raises:
            InputError: the bounds cannot be met, or a price that counts is absent.
        """
        names = [item.name for item in prices.deployments]
        total = len(prices.queries)
        bounds = self.bounds([item.share for item in prices.deployments], names, total)
        groups = _Groups.of(prices)
        e_hat, energy_constants = self._energy(prices, groups)
        a_hat, accuracy_constants = self._accuracy(prices, groups)
        solved = assign(self.zeta * e_hat - (1 - self.zeta) * a_hat, groups.count, groups.eligible, bounds)
        used = solved.flow > 0
        scale = float(np.sum((self.zeta * e_hat + (1 - self.zeta) * a_hat)[used] * solved.flow[used]))
        difference = solved.objective - solved.lower_bound
        certificate = Certificate(
            objective=solved.objective,
            lower_bound=solved.lower_bound,
            gap=difference / scale if scale > 0 else difference,
            scale=scale,
            solver=SOLVER,
            bounds={
                name: (int(low), int(high) if self.max_share is not None else None)
                for name, low, high in zip(names, bounds.lower, bounds.upper, strict=True)
            },
            constants={"normalise": self.normalise, **energy_constants, **accuracy_constants},
            scope=SCOPE,
        )
        return Plan(expand(solved.flow, groups.group_of), certificate)

    def _energy(self, prices: Prices, groups: _Groups) -> tuple[FloatArray, dict[str, float]]:
        if self.zeta == 0:  # energy has no weight: deployments without an energy curve are welcome
            return np.zeros(groups.eligible.shape), {}
        return self._normalised(prices.energy_j[groups.pair], groups, "energy", "j")

    def _accuracy(self, prices: Prices, groups: _Groups) -> tuple[FloatArray, dict[str, float]]:
        if self.zeta == 1:
            return np.zeros(groups.eligible.shape), {}
        tokens = (prices.tau_in + prices.tau_out)[groups.pair]
        values = prices.accuracy_pct[groups.first] * tokens[:, None]
        return self._normalised(values, groups, "accuracy", "pct_tokens")

    def _normalised(
        self, values: FloatArray, groups: _Groups, what: str, unit: str
    ) -> tuple[FloatArray, dict[str, float]]:
        chosen = values[groups.eligible]
        least = float(chosen.min()) if self.normalise == "minmax" else 0.0
        largest = float(chosen.max())
        width = largest - least
        constants = {f"{what}_subtracted_{unit}": least, f"{what}_divided_by_{unit}": width}
        return (values - least) / (width if width > 0 else 1.0), constants


@dataclass(frozen=True)
class _Groups:
    """Queries with the same prices, treated as one.

    Attributes:
        group_of: each query's group, shape (n,).
        first: one query of each group, shape (g,).
        pair: each group's row among the prices' pairs, shape (g,).
        count: queries in each group, shape (g,).
        eligible: shape (g, k).
    """

    group_of: IntArray
    first: IntArray
    pair: IntArray
    count: IntArray
    eligible: BoolArray

    @classmethod
    def of(cls, prices: Prices) -> _Groups:
        """By pair of token counts, unless the workload scores each query on its own."""
        scored = bool(prices.queries.accuracy_pct)
        group_of = np.arange(len(prices.queries)) if scored else prices.pair_of
        # Numbered anew: pairs whose queries were all refused have no group.
        _, first, group_of, count = np.unique(
            group_of, return_index=True, return_inverse=True, return_counts=True
        )
        pair = prices.pair_of[first]
        return cls(group_of, first, pair, count, prices.eligible[pair])


def _floor(value: float) -> int:
    """Whole queries of a share, forgiving the rounding of a product that is whole on paper."""
    return math.floor(value + 1e-9)
