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

# What a policy may count of a query's joules.
ENERGY_BASES = ("gross", "above_idle")


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

    Tables are laid out by column (Fortran order): whatever runs over millions of queries takes one deployment
    at a time.
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
        somewhere: BoolArray = np.any(self.eligible, axis=1)[self.pair_of]
        return somewhere

    @cached_property
    def energy_j(self) -> FloatArray:
        """Joules of each pair on each deployment, shape (m, k).

        Raises:
            InputError: a deployment has no energy curve.
        """
        return np.array([self._required(i, "energy_j", "energy") for i in range(len(self.costs))]).T

    @cached_property
    def runtime_s(self) -> FloatArray:
        """Seconds of each pair on each deployment, shape (m, k).

        Raises:
            InputError: a deployment has no runtime curve.
        """
        return np.array([self._required(i, "runtime_s", "runtime") for i in range(len(self.costs))]).T

    def energy(self, basis: str) -> FloatArray:
        """Joules of each pair on each deployment by a basis, shape (m, k).

        ``gross`` is what the meter counts. ``above_idle`` is what serving adds to a fleet that is powered
        anyway: gross minus idle power times the query's part of the instance's time.

        Raises:
            InputError: a deployment lacks a curve or an idle power that the basis needs.
        """
        if basis == "gross":
            return self.energy_j
        for item in self.deployments:
            if item.idle_power_w is None:
                name = item.target.hardware.name
                raise InputError(
                    f"policy.energy_basis={basis}: no source states the idle power of {name}. Set "
                    f"hardware.{name}.idle_power_w, or choose policy.energy_basis=gross."
                )
        power_w = np.array([item.idle_power_w for item in self.deployments], dtype=np.float64)
        above: FloatArray = self.energy_j - power_w * self.instance_s
        return above

    @cached_property
    def instance_s(self) -> FloatArray:
        """Seconds of an instance that each pair takes of each deployment, shape (m, k).

        Queries that share steps share the time.
        """
        batch = np.array([item.pricing_batch for item in self.deployments])
        seconds: FloatArray = self.runtime_s / batch
        return seconds

    @cached_property
    def scores_pct(self) -> FloatArray:
        """Accuracy of each *query* on each deployment, percent, shape (n, k); NaN where none is known.

        The workload's own column for the model where it has one, or else the model's score A_K.
        """
        columns: list[FloatArray] = []
        for item in self.deployments:
            model = item.target.model
            own = self.queries.accuracy_pct.get(model.name)
            if own is not None:
                columns.append(own)
            else:
                score = np.nan if model.accuracy_pct is None else model.accuracy_pct
                columns.append(np.full(1, score))
        if not self.queries.accuracy_pct:  # one row for all: a view, not n copies
            return np.broadcast_to(np.concatenate(columns), (len(self.queries), len(columns)))
        return np.array([np.broadcast_to(column, len(self.queries)) for column in columns]).T

    @property
    def accuracy_pct(self) -> FloatArray:
        """`scores_pct`, shape (n, k), for a policy that needs all of them.

        Raises:
            InputError: a model has no score.
        """
        for index, item in enumerate(self.deployments):
            if np.isnan(self.scores_pct[:, index]).any():
                name = item.target.model.name
                raise InputError(
                    f"{name} has no accuracy score: set model.{name}.accuracy_pct, give the workload a "
                    f"column accuracy_{name}, or choose by energy alone (policy.zeta=1)."
                )
        return self.scores_pct

    @cached_property
    def extrapolated(self) -> BoolArray:
        """Whether a pair lies outside a deployment's measured tokens, shape (m, k)."""
        return np.array([cost.extrapolated for cost in self.costs]).T

    def _required(self, index: int, column: str, what: str) -> FloatArray:
        """A deployment's costs of the pairs, shape (m,); raises InputError where absent or not finite."""
        values: FloatArray | None = getattr(self.costs[index], column)
        name = self.deployments[index].name
        if values is None:
            raise InputError(
                f"{name} has no {what} curve: no measurement of its {what} is known. Choose a policy that "
                "does not need it, another hardware, or give your own measurements with trials.path=FILE."
            )
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
        eligible=np.array([tau_in + tau_out <= item.longest_query_tokens for item in deployments]).T,
    )


def distinct_pairs(tau_in: IntArray, tau_out: IntArray) -> tuple[tuple[IntArray, IntArray], IntArray]:
    """The distinct (tau_in, tau_out) pairs in ascending order, and each query's row among them."""
    width = np.int64(tau_out.max(initial=0) + 1)
    keys, pair_of = np.unique(tau_in * width + tau_out, return_inverse=True)
    return (keys // width, keys % width), pair_of.astype(np.int64)
