"""What every query would cost on every deployment: the table that policies read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import BoolArray, Cost, FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.workload.queries import Queries


@dataclass(frozen=True)
class Prices:
    """Predicted cost and eligibility of n queries on k deployments.

    Costs depend on (tau_in, tau_out) alone, so they are held once for each distinct pair; `pair_of` maps a
    query to its pair.

    Attributes:
        queries: the n queries.
        deployments: the k deployments.
        tau_in, tau_out: the m distinct pairs, shape (m,).
        pair_of: row of each query's pair, shape (n,).
        costs: one Cost a deployment, each over the m pairs.
        eligible: whether a pair fits a deployment's context, shape (m, k).
    """

    queries: Queries
    deployments: tuple[Deployment, ...]
    tau_in: IntArray
    tau_out: IntArray
    pair_of: NDArray[np.int64]
    costs: tuple[Cost, ...]
    eligible: BoolArray

    def take(self, index: IntArray) -> Prices:
        """The chosen queries at the same prices, in the order of `index`."""
        return replace(self, queries=self.queries.take(index), pair_of=self.pair_of[index])

    @cached_property
    def fits(self) -> BoolArray:
        """Whether each query fits some deployment's context, shape (n,)."""
        somewhere: BoolArray = np.any(self.eligible[self.pair_of], axis=1)
        return somewhere

    @cached_property
    def energy_j(self) -> FloatArray:
        """Joules of each pair on each deployment, shape (m, k).

        Raises:
            InputError: a deployment has no energy curve.
        """
        return np.column_stack([self._required(i, "energy_j", "energy") for i in range(len(self.costs))])

    @cached_property
    def runtime_s(self) -> FloatArray:
        """Seconds of each pair on each deployment, shape (m, k).

        Raises:
            InputError: a deployment has no runtime curve.
        """
        return np.column_stack([self._required(i, "runtime_s", "runtime") for i in range(len(self.costs))])

    @cached_property
    def accuracy_pct(self) -> FloatArray:
        """Accuracy of each *query* on each deployment, percent, shape (n, k).

        The workload's own column for the model where it has one, or else the model's score A_K.

        Raises:
            InputError: a model has neither.
        """
        columns = []
        for item in self.deployments:
            model = item.target.model
            own = self.queries.accuracy_pct.get(model.name)
            if own is not None:
                columns.append(own)
            elif model.accuracy_pct is not None:
                columns.append(np.full(len(self.queries), model.accuracy_pct))
            else:
                raise InputError(
                    f"{model.name} has no accuracy score: set model.{model.name}.accuracy_pct, give the "
                    f"workload a column accuracy_{model.name}, or choose by energy alone (policy.zeta=1)."
                )
        return np.column_stack(columns)

    @cached_property
    def extrapolated(self) -> BoolArray:
        """Whether a pair lies outside a deployment's measured tokens, shape (m, k)."""
        return np.column_stack([cost.extrapolated for cost in self.costs])

    def _required(self, index: int, column: str, what: str) -> FloatArray:
        values: FloatArray | None = getattr(self.costs[index], column)
        name = self.deployments[index].name
        if values is None:
            raise InputError(f"{name} has no {what} curve: no measurement of its {what} is known.")
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(
                f"{name}: its {what} curve gives {values[bad[0]]} for tau_in={self.tau_in[bad[0]]}, "
                f"tau_out={self.tau_out[bad[0]]}. Refit it (curve=auto), or limit the workload's tokens."
            )
        return values


def price(queries: Queries, deployments: Sequence[Deployment]) -> Prices:
    """Price every query on every deployment.

    A query is eligible on a deployment when prompt and answer together fit the model's context, and the
    memory of an instance.
    """
    pairs, pair_of = distinct_pairs(queries.tau_in, queries.tau_out)
    tau_in, tau_out = pairs
    return Prices(
        queries=queries,
        deployments=tuple(deployments),
        tau_in=tau_in,
        tau_out=tau_out,
        pair_of=pair_of,
        costs=tuple(item.price(tau_in, tau_out) for item in deployments),
        eligible=np.column_stack([tau_in + tau_out <= item.longest_query_tokens for item in deployments]),
    )


def distinct_pairs(tau_in: IntArray, tau_out: IntArray) -> tuple[tuple[IntArray, IntArray], IntArray]:
    """The distinct (tau_in, tau_out) pairs in ascending order, and each query's row among them."""
    width = np.int64(tau_out.max(initial=0) + 1)
    keys, pair_of = np.unique(tau_in * width + tau_out, return_inverse=True)
    return (keys // width, keys % width), pair_of.astype(np.int64)
