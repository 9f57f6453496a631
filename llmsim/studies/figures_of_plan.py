"""What a plan costs and how good it is, by some prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.fleet.prices import Prices


@dataclass(frozen=True)
class PlanFigures:
    """The figures of a plan.

    Attributes:
        energy_j: joules of all queries.
        mean_runtime_s: seconds of service a query, without waiting.
        accuracy_pct: mean accuracy, weighted by tokens; NaN where a model has no score.
    """

    energy_j: float
    mean_runtime_s: float
    accuracy_pct: float


def figures_of(prices: Prices, deployment: IntArray) -> PlanFigures:
    """The figures of sending each query to a deployment, shape (n,), at these prices.

    Raises:
        InputError: a deployment has no energy or runtime curve.
    """
    tokens = prices.queries.tau_in + prices.queries.tau_out
    scores = np.take_along_axis(prices.scores_pct, deployment[:, None], axis=1)[:, 0]
    return PlanFigures(
        energy_j=float(prices.energy_j[prices.pair_of, deployment].sum()),
        mean_runtime_s=float(prices.runtime_s[prices.pair_of, deployment].mean()),
        accuracy_pct=float(scores @ tokens / tokens.sum()),
    )


def expected_figures(prices: Prices, counts: IntArray) -> PlanFigures:
    """The figures to expect of so many queries on each deployment, shape (k,), whichever they are.

    Raises:
        InputError: a deployment has no energy or runtime curve.
    """
    part = counts / counts.sum()
    tokens = prices.queries.tau_in + prices.queries.tau_out
    energy_j, runtime_s = prices.energy_j[prices.pair_of], prices.runtime_s[prices.pair_of]
    return PlanFigures(
        energy_j=float(energy_j.sum(axis=0) @ part),
        mean_runtime_s=float(runtime_s.mean(axis=0) @ part),
        accuracy_pct=float(tokens @ prices.scores_pct @ part / tokens.sum()),
    )
