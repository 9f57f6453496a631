"""What a policy is: it decides the deployment of each query.

An *offline* policy sees all queries at once and returns a plan. An *online* policy is asked query by query,
at arrival, and sees only what a router can see. A policy is a dataclass; its fields are its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.random import Generator

from llmsim.curves.cost import BoolArray, IntArray
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices


@dataclass(frozen=True)
class Certificate:
    """Proof of how far a plan's priced cost can be from the least possible.

    Attributes:
        objective: the plan's cost, as the policy defines it.
        lower_bound: no plan that keeps the bounds costs less: the value of a dual solution, in float64 on
            the unrounded costs.
        gap: (objective - lower_bound) / `scale`.
        scale: what the gap is relative to, as the policy defines it.
        solver: what found the plan.
        bounds: least and most queries of each deployment (None: no upper bound), by name.
        constants: numbers that turn joules and percent into the cost, by name.
        scope: what the certificate bounds, in words.
    """

    objective: float
    lower_bound: float
    gap: float
    scale: float
    solver: str
    bounds: Mapping[str, tuple[int, int | None]]
    constants: Mapping[str, Any]
    scope: str


@dataclass(frozen=True)
class Plan:
    """An offline decision.

    Attributes:
        deployment: index of each query's deployment, shape (n,).
        certificate: the proof, or None where the policy gives none.
    """

    deployment: IntArray
    certificate: Certificate | None = None


class FleetView(Protocol):
    """What a router sees when a query arrives.

    It knows what it sent where and what has come back. How long a query takes it can only predict, from the
    prompt and the predicted length of the answer; nothing here is computed from the true one before the
    query is done. Sequences have an entry a deployment, are read and not kept: the next query's overwrite
    them.
    """

    @property
    def now_s(self) -> float:
        """Seconds since the start of the trace."""
        ...

    @property
    def query(self) -> int:
        """The query's number in this run, from 0 in order of arrival."""
        ...

    @property
    def eligible(self) -> Sequence[int]:
        """Indices of the deployments whose context the query fits, ascending, never empty."""
        ...

    @property
    def present(self) -> Sequence[int]:
        """Queries that were sent to each deployment and have not come back."""
        ...

    @property
    def slots(self) -> Sequence[int]:
        """Queries that each deployment can serve at once: instances times batch limit."""
        ...

    @property
    def energy_j(self) -> Sequence[float]:
        """Predicted joules of the query on each deployment.

        Raises:
            InputError: a deployment has no energy curve.
        """
        ...

    @property
    def runtime_s(self) -> Sequence[float]:
        """Predicted seconds of service of the query on each deployment.

        Raises:
            InputError: a deployment has no runtime curve.
        """
        ...

    @property
    def accuracy_pct(self) -> Sequence[float]:
        """Accuracy of each deployment's model on the query.

        Raises:
            InputError: a model has no score.
        """
        ...

    def completion_s(self, deployment: int) -> float:
        """When the query would be done there, seconds since the start of the trace, by predicted lengths.

        Raises:
            InputError: a deployment has no runtime curve.
        """
        ...


@runtime_checkable
class OfflinePolicy(Protocol):
    """Decides for all queries at once."""

    def plan(self, prices: Prices, rng: Generator) -> Plan:
        """The deployment of every query of `prices`; each must be eligible where it is sent.

        Raises:
            InputError: the bounds cannot be met, or a price that the policy needs is absent.
        """
        ...


@runtime_checkable
class OnlinePolicy(Protocol):
    """Decides at arrival. `begin` is called once a run, then `route` once a query, in order of arrival."""

    def begin(self, deployments: Sequence[Deployment], rng: Generator) -> None:
        """Forget earlier runs and take the deployments of this one."""
        ...

    def route(self, tau_in: int, tau_out_hat: float, view: FleetView) -> int:
        """The index of the deployment that gets the query, one of `view.eligible`.

        Args:
            tau_in: prompt tokens.
            tau_out_hat: predicted generated tokens; the true number is not known yet.
        """
        ...


@runtime_checkable
class Attentive(Protocol):
    """An online policy that wants to know when its queries are done."""

    def done(self, query: int, deployment: int) -> None:
        """A query has come back from a deployment; before the arrivals of the same instant."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A policy that uses only part of the fleet, and so cannot serve every query."""

    def accepts(self, prices: Prices) -> BoolArray:
        """Whether the policy can serve each query, shape (n,); the others are refused beforehand."""
        ...
