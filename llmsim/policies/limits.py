"""Settings that limit an offline plan: counts, latency, and the time that instances have."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from llmsim.curves.cost import BoolArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.bounds import Bounds
from llmsim.policies.counts import CountBounds, by_deployment
from llmsim.policies.groups import Groups
from llmsim.policies.resources import Resource


@dataclass
class Limits(CountBounds):
    """Bounds on each deployment's number of queries and on its time, and on each query's latency.

    Attributes:
        max_latency_s: a query may go only where its predicted runtime is at most this; one that may go
            nowhere is refused.
        window_s: each deployment has this many seconds of each of its instances.
        busy_s: instance-seconds of the deployments named, instead.
    """

    max_latency_s: float | None = None
    window_s: float | None = None
    busy_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        seconds = {"max_latency_s": self.max_latency_s, "window_s": self.window_s}
        seconds |= {f"busy_s.{name}": value for name, value in self.busy_s.items()}
        for key, value in seconds.items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"policy.{key}={value}: expected a number of seconds, or null.")

    def accepts(self, prices: Prices) -> BoolArray:
        """The queries that some deployment can serve within the latency, shape (n,)."""
        return self.within_latency(prices).fits

    def within_latency(self, prices: Prices) -> Prices:
        """The prices with eligibility only where the predicted latency allows it.

        Raises:
            InputError: a limit is set and a deployment has no runtime curve.
        """
        if self.max_latency_s is None:
            return prices
        return replace(prices, eligible=prices.eligible & (prices.runtime_s <= self.max_latency_s))

    def bounds_for(self, prices: Prices) -> Bounds:
        """The bounds on counts for the queries of `prices`."""
        shares = [item.share for item in prices.deployments]
        return self.bounds(shares, [item.name for item in prices.deployments], len(prices.queries))

    def time(self, prices: Prices, groups: Groups) -> tuple[Resource, ...]:
        """The instance-seconds that each deployment has, where they are bounded.

        Raises:
            InputError: a bounded deployment has no runtime curve, or is not there.
        """
        if self.window_s is None and not self.busy_s:
            return ()
        names = tuple(item.name for item in prices.deployments)
        window_s = math.inf if self.window_s is None else self.window_s
        capacity = [item.instances * window_s for item in prices.deployments]
        for name, seconds in by_deployment(self.busy_s, names, "policy.busy_s").items():
            capacity[names.index(name)] = seconds
        return (
            Resource(
                what="instance-seconds",
                usage=groups.of_pairs(prices.instance_s),
                row_of=np.arange(len(names)),
                capacity=np.array(capacity, dtype=np.float64),
                names=names,
                setting="policy.window_s or policy.busy_s",
            ),
        )
