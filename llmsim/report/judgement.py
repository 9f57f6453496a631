"""What a run's choices are worth: its regret, and what no less accuracy could have cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from llmsim.fleet.prices import Prices
from llmsim.policies.frontier import Frontier, frontier, saving_at_no_less_accuracy_pct
from llmsim.policies.groups import Groups
from llmsim.policies.objective import Objective, accuracy_tokens
from llmsim.policies.regret import flow_of, regret
from llmsim.simulation.run import Run

_OBJECTIVE = ("zeta", "against", "energy_basis", "normalise")


def objective_of(settings: Mapping[str, Any], default: Objective | None = None) -> Objective:
    """The objective that a policy's settings name; what they leave out is as in `default`."""
    base = asdict(Objective() if default is None else default)
    return Objective(**{key: settings.get(key, base[key]) for key in _OBJECTIVE})


class Judge:
    """Judges runs over the same workload; the frontier of each set of served queries is drawn once."""

    def __init__(self, default: Objective) -> None:
        self._default = default
        self._frontiers: dict[bytes, Frontier] = {}

    def regret(self, run: Run) -> dict[str, Any]:
        """The regret of a run's choices, by the objective that its policy names, or else the default's.

        Raises:
            InputError: the objective needs a price that is absent.
        """
        objective = objective_of(run.policy, self._default)
        found = regret(run.prices, run.ledger.deployment, objective)
        return {"zeta": objective.zeta, "against": objective.against, **asdict(found)}

    def saving_pct(self, run: Run) -> float | None:
        """How much less predicted energy the best plan takes at no less accuracy, percent of the run's.

        Raises:
            InputError: a deployment has no energy curve or no accuracy.
        """
        prices = run.prices
        energy_j, accuracy_pct = priced(prices, run)
        key = run.served.tobytes()
        if key not in self._frontiers:
            self._frontiers[key] = frontier(prices)
        return saving_at_no_less_accuracy_pct(self._frontiers[key], energy_j, accuracy_pct)


def priced(prices: Prices, run: Run) -> tuple[float, float]:
    """Predicted joules and token-weighted accuracy of a run's choices.

    Raises:
        InputError: a deployment has no energy curve or no accuracy.
    """
    groups = Groups.of(prices)
    flow = flow_of(groups, run.ledger.deployment, len(prices.deployments))
    energy_j = float(np.sum(groups.of_pairs(prices.energy_j) * flow))
    tokens = float(np.sum(prices.queries.tau_in + prices.queries.tau_out))
    return energy_j, float(np.sum(accuracy_tokens(prices, groups) * flow)) / tokens
