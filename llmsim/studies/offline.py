"""The offline case study: which model answers which query, three ways, over zeta.

*Script* is what was run: a query's cost on a model is the sum over all queries, so that queries differ in
nothing and only counts matter. *Equations* is what was written: each query's own cost. Both read the curves
as printed. *Fitting* is the equations again, with curves that fit. Whatever a plan was chosen by, it is
judged by both: by the curves as printed, as the paper did, and by those that fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import IntArray
from llmsim.fleet.prices import Prices
from llmsim.policies.assignment import assign, total
from llmsim.policies.bounds import Bounds
from llmsim.policies.frontier import Frontier, frontier, saving_at_no_less_accuracy_pct
from llmsim.policies.groups import Groups
from llmsim.policies.objective import PricedCost
from llmsim.policies.optimal import Optimal
from llmsim.policies.planning import best_plan
from llmsim.policies.regret import flow_of
from llmsim.studies.figures_of_plan import PlanFigures, expected_figures, figures_of

Record = dict[str, Any]
SCRIPT, EQUATIONS, FITTING = "script", "equations", "fitting"
WAYS = (SCRIPT, EQUATIONS, FITTING)
ROUND_ROBIN, RANDOM = "round_robin", "random"


@dataclass(frozen=True)
class CaseStudy:
    """The queries of the study at both prices, and what its plans have in common.

    Attributes:
        printed, fitting: the same queries and deployments, by the curves as printed and by those that fit.
        min_share: each model gets at least this part of its gamma, in whole queries, and at least one.
        normalise: how the hats are made, as in Objective.
    """

    printed: Prices
    fitting: Prices
    min_share: float
    normalise: str

    @property
    def names(self) -> list[str]:
        """Of the deployments."""
        return [item.name for item in self.printed.deployments]

    @cached_property
    def bounds(self) -> Bounds:
        """On the number of queries of each deployment."""
        return self.policy(1.0).bounds_for(self.printed)

    @cached_property
    def frontier(self) -> Frontier:
        """The least energy at each accuracy within the bounds, by the curves that fit."""
        return frontier(self.fitting, self.bounds)

    def policy(self, zeta: float) -> Optimal:
        """The optimum at a weight of energy, within the bounds."""
        n = len(self.printed.queries)
        least = {
            item.name: max(1, math.ceil(self.min_share * item.share * n)) for item in self.printed.deployments
        }
        return Optimal(zeta=zeta, normalise=self.normalise, at_least=least)


def sweep(study: CaseStudy, zetas: Sequence[float]) -> Iterator[Record]:
    """A record of each way's plan at each zeta; `objective` is by the curves as printed, for all.

    Raises:
        InputError: the bounds cannot be met, or a deployment has no curve or no accuracy.
    """
    for zeta in zetas:
        policy = study.policy(zeta)
        printed, fitting = policy.priced(study.printed), policy.priced(study.fitting)
        yield {"way": SCRIPT, "zeta": zeta, **_of_script(study, printed)}
        for way, priced in ((EQUATIONS, printed), (FITTING, fitting)):
            plan = best_plan(priced, study.bounds).deployment
            found = judged(study, figures_of(study.printed, plan), figures_of(study.fitting, plan))
            found["objective"] = total(printed.cost, flow_of(printed.groups, plan, len(study.names)))
            yield {"way": way, "zeta": zeta, **found, **_counted(study, plan)}


def baselines(study: CaseStudy, rng: Generator) -> Iterator[Record]:
    """A record of each baseline of the paper: the models in turn, at random, and each alone.

    Raises:
        InputError: a deployment has no energy or runtime curve.
    """
    n, k = len(study.printed.queries), len(study.names)
    plans: dict[str, IntArray] = {ROUND_ROBIN: np.arange(n) % k, RANDOM: rng.integers(k, size=n)}
    plans |= {f"only {name}": np.full(n, index) for index, name in enumerate(study.names)}
    for name, plan in plans.items():
        found = judged(study, figures_of(study.printed, plan), figures_of(study.fitting, plan))
        if name.startswith("only"):  # it breaks the bounds, so that plans which keep them say nothing of it
            found["saving_left_pct"] = None
        yield {"way": name, "zeta": None, **found, **_counted(study, plan)}


def one_cost_a_model(priced: PricedCost) -> PricedCost:
    """Each query's cost on a model made the mean over all queries: the script's inner loop adds them up."""
    means = priced.groups.count @ priced.cost / priced.groups.count.sum()
    return replace(priced, cost=np.broadcast_to(means, priced.cost.shape).copy(order="F"))


def judged(study: CaseStudy, printed: PlanFigures, fitting: PlanFigures) -> Record:
    """The figures of a plan by both curves, and the saving that it left.

    `saving_left_pct` is how much less energy the best plan within the bounds takes at no less accuracy, by
    the curves that fit.
    """
    return {
        "accuracy_pct": fitting.accuracy_pct,
        "energy_printed_j": printed.energy_j,
        "energy_fitting_j": fitting.energy_j,
        "mean_runtime_printed_s": printed.mean_runtime_s,
        "mean_runtime_fitting_s": fitting.mean_runtime_s,
        "saving_left_pct": saving_at_no_less_accuracy_pct(
            study.frontier, fitting.energy_j, fitting.accuracy_pct
        ),
    }


def _of_script(study: CaseStudy, printed: PricedCost) -> Record:
    """What the script's objective settles, and what it leaves to chance: which queries fill its counts."""
    same = one_cost_a_model(printed)
    plan = best_plan(same, study.bounds).deployment
    counts = np.bincount(plan, minlength=len(study.names))
    found = judged(study, expected_figures(study.printed, counts), expected_figures(study.fitting, counts))
    least, most = _extremes(study.fitting, counts)
    found |= {"objective": float(same.cost[0] @ counts), "least_energy_fitting_j": least}
    return found | {"most_energy_fitting_j": most, **_counted(study, plan)}


def _extremes(prices: Prices, counts: IntArray) -> tuple[float, float]:
    """The least and the greatest energy with so many queries on each deployment."""
    groups = Groups.of(prices)
    energy_j, eligible = groups.of_pairs(prices.energy_j), groups.eligible(prices)
    same = Bounds(tuple(item.name for item in prices.deployments), counts, counts)
    least = assign(energy_j, groups.count, eligible, same).objective
    return least, -assign(-energy_j, groups.count, eligible, same).objective


def _counted(study: CaseStudy, plan: IntArray) -> dict[str, int]:
    """How many queries each deployment has, as columns of a record."""
    counts = np.bincount(plan, minlength=len(study.names)).tolist()
    return {f"queries {name}": count for name, count in zip(study.names, counts, strict=True)}
