"""What a policy chooses between: a target with its curve and its instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmsim.curves.cost import Cost, IntArray, PhaseCurve, QueryCurve
from llmsim.fleet.memory import kv_blocks, longest_query_tokens
from llmsim.fleet.serving import ONE_AT_A_TIME, Serving
from llmsim.specs.target import Target


@dataclass(frozen=True)
class Network:
    """What the way between the router and each instance takes, one way.

    Attributes:
        latency_s: seconds, one entry an instance.
        per_token_s: seconds a token of prompt or answer, one entry an instance.
    """

    latency_s: Sequence[float]
    per_token_s: Sequence[float]


@dataclass(frozen=True)
class Deployment:
    """A target with its curve, its discipline and its instances.

    Attributes:
        name: ``<model>@<hardware>``.
        target: what is served, where, under which conditions.
        curve: joules and seconds of a query.
        discipline: how an instance takes queries: ``serial`` (one at a time, first come first served),
            ``static``, ``continuous``, or ``thesis_script`` (serial as one script had it).
        instances: running copies, at least 1.
        share: gamma_K, this deployment's part of the fleet; the shares of a fleet sum to 1.
        provenance: where the curve is from and how far it errs, ready for JSON.
        serving: the rest of how queries are taken up.
        network: the way to each instance; None: it takes no time.
    """

    name: str
    target: Target
    curve: QueryCurve | PhaseCurve
    discipline: str
    instances: int
    share: float
    provenance: Mapping[str, Any] = field(default_factory=dict)
    serving: Serving = field(default_factory=Serving)
    network: Network | None = None

    @property
    def idle_power_w(self) -> float | None:
        """Watts of one idle instance (all its devices), or None where no source states it."""
        power_w = self.target.hardware.idle_power_w
        return None if power_w is None else power_w * self.target.n_devices

    @property
    def max_batch(self) -> int:
        """Most queries that an instance serves together."""
        if self.discipline in ONE_AT_A_TIME:
            return 1
        return self.target.max_batch if self.serving.max_batch is None else self.serving.max_batch

    @property
    def dispatcher(self) -> str:
        """How an instance is chosen for a query."""
        if self.serving.dispatcher is not None:
            return self.serving.dispatcher
        return "join_shortest" if self.discipline == "continuous" else "shared"

    @property
    def kv_blocks(self) -> int | None:
        """Blocks of 16 tokens in an instance's KV memory; None where nothing is known to limit it."""
        return kv_blocks(self.target, self.serving.memory_fraction) if self.target.kv_cache else None

    @property
    def longest_query_tokens(self) -> int:
        """Most tokens, prompt and answer together, of a query that can be served here."""
        return longest_query_tokens(self.target, self.serving.memory_fraction)

    @property
    def pricing_batch(self) -> int:
        """Queries that share a step when one of them is priced: a query curve knows of no sharing."""
        if not isinstance(self.curve, PhaseCurve):
            return 1
        return self.max_batch if self.serving.pricing_batch is None else self.serving.pricing_batch

    def price(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Predicted cost of each query on this deployment; arrays of shape (n,), tokens at least 1.

        By a phase curve, each query is priced in a batch of `pricing_batch` like it: its seconds are those of
        the batch, its joules an equal share.
        """
        batch = self.pricing_batch
        if not isinstance(self.curve, PhaseCurve):
            return self.curve.cost(tau_in, tau_out)
        cost = self.curve.cost(tau_in, tau_out, batch)
        if cost.energy_j is None or cost.energy_se_j is None:
            return cost
        return replace(cost, energy_j=cost.energy_j / batch, energy_se_j=cost.energy_se_j / batch)
