"""What a run leaves: one row a query, one row an instance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from llmsim.curves.cost import FloatArray, IntArray
from llmsim.fleet.deployment import Deployment
from llmsim.simulation.book import Book
from llmsim.simulation.meters import Meters
from llmsim.workload.queries import Queries


@dataclass(frozen=True)
class Ledger:
    """Served queries as columns, in order of arrival; all of shape (n,).

    Attributes:
        deployment: index into `deployments`.
        instance: index of the instance within its deployment.
        start_s: when service begins, seconds since the start of the trace.
        first_token_s, end_s: when the first and the last token are back at the router.
        energy_j: active joules; NaN on a deployment whose energy was never measured.
        tau_in, tau_out: the query's tokens.
        network_s: of these, seconds on the network, there and back.
        preemptions: how often the query lost its place for want of KV memory.
        deployments: the fleet's deployments.
        meters: seconds and joules of each deployment's instances.
        events: events that the run took.
    """

    arrival_s: FloatArray
    deployment: IntArray
    instance: IntArray
    start_s: FloatArray
    first_token_s: FloatArray
    end_s: FloatArray
    energy_j: FloatArray
    tau_in: IntArray
    tau_out: IntArray
    network_s: FloatArray
    preemptions: IntArray
    deployments: tuple[Deployment, ...]
    meters: tuple[Meters, ...] = field(repr=False)
    events: int

    @property
    def end_of_run_s(self) -> float:
        """When the last query ends, seconds since the start of the trace."""
        return float(self.end_s.max(initial=0.0))

    def sha256(self) -> str:
        """Hash of every column: equal for equal runs."""
        digest = hashlib.sha256()
        for column in (self.deployment, self.instance, self.start_s, self.first_token_s, self.end_s):
            digest.update(column.tobytes())
        digest.update(self.energy_j.tobytes())
        digest.update(self.preemptions.tobytes())
        return digest.hexdigest()

    def instances(self) -> InstanceLedger:
        """What each instance did, every deployment's in turn."""
        sizes = [item.instances for item in self.deployments]
        first = np.concatenate([[0], np.cumsum(sizes)])
        row = first[self.deployment] + self.instance
        columns = {name: _joined(self.meters, name) for name in METERED}
        return InstanceLedger(
            deployment=np.repeat(np.arange(len(sizes)), sizes),
            instance=np.concatenate([np.arange(size) for size in sizes]),
            queries=np.bincount(row, minlength=int(first[-1])),
            start_s=float(self.arrival_s[0]) if len(self.arrival_s) else 0.0,
            deployments=self.deployments,
            **columns,
        )


# Columns of an instance that are counted while the fleet is in motion.
METERED = (
    "serve_s",
    "serve_j",
    "prefill_s",
    "prefill_j",
    "decode_s",
    "decode_j",
    "wake_s",
    "wake_j",
    "asleep_s",
    "idle_since_s",
)


@dataclass(frozen=True)
class InstanceLedger:
    """Instances as columns, shape (total instances,); joules are NaN where no energy was measured.

    Attributes:
        deployment: index into `deployments`.
        instance: index within the deployment.
        queries: queries served.
        start_s: start of the run, when all instances are on and idle.
        serve_s, serve_j: serving whole queries or batches, phases not told apart.
        prefill_s .. decode_j: by phase; a mixed step of chunked prefill is told apart by what each part of
            it costs.
        wake_s, wake_j: waking.
        asleep_s: asleep, up to the last query; `idle_since_s` says since when it has had nothing to do.
    """

    deployment: IntArray
    instance: IntArray
    queries: IntArray
    start_s: float
    serve_s: FloatArray
    serve_j: FloatArray
    prefill_s: FloatArray
    prefill_j: FloatArray
    decode_s: FloatArray
    decode_j: FloatArray
    wake_s: FloatArray
    wake_j: FloatArray
    asleep_s: FloatArray
    idle_since_s: FloatArray
    deployments: tuple[Deployment, ...]

    @property
    def busy_s(self) -> FloatArray:
        """Seconds serving."""
        return self.serve_s + self.prefill_s + self.decode_s

    @property
    def energy_active_j(self) -> FloatArray:
        """Joules while serving."""
        return self.serve_j + self.prefill_j + self.decode_j

    def states(self, horizon_s: float) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Seconds and joules of each state over the horizon, which begins with the run.

        The states are serve, prefill, decode, wake, idle and asleep; their seconds sum to the horizon.
        Joules of idle are NaN where no source states the idle power.
        """
        asleep_s = self.asleep_s + self._asleep_at_the_end_s(horizon_s)
        idle_s = horizon_s - self.busy_s - self.wake_s - asleep_s
        return {
            "serve": (self.serve_s, self.serve_j),
            "prefill": (self.prefill_s, self.prefill_j),
            "decode": (self.decode_s, self.decode_j),
            "wake": (self.wake_s, self.wake_j),
            "idle": (idle_s, idle_s * self._idle_power_w),
            "asleep": (asleep_s, asleep_s * self._of_serving("asleep_power_w")),
        }

    def idle_energy_j(self, horizon_s: float) -> FloatArray:
        """Joules of the rest of the horizon: idle, asleep or waking; NaN where idle power is not known."""
        states = self.states(horizon_s)
        return states["idle"][1] + states["asleep"][1] + states["wake"][1]

    @cached_property
    def _idle_power_w(self) -> FloatArray:
        """Watts of each instance when idle; NaN where no source states it."""
        power_w = [np.nan if item.idle_power_w is None else item.idle_power_w for item in self.deployments]
        return np.array(power_w)[self.deployment]

    def _asleep_at_the_end_s(self, horizon_s: float) -> FloatArray:
        """Seconds asleep at the end of the horizon: the meters note a sleep only when a query ends it."""
        falls_asleep_s = self.idle_since_s + self._of_serving("sleeps_after_s")
        tail: FloatArray = np.maximum(self.start_s + horizon_s - falls_asleep_s, 0.0)
        return tail

    def _of_serving(self, name: str) -> FloatArray:
        """A number of each instance's serving settings, shape (total instances,)."""
        values = [float(getattr(item.serving, name)) for item in self.deployments]
        return np.array(values)[self.deployment]


def _joined(meters: Sequence[Meters], name: str) -> FloatArray:
    """A column of all deployments' meters as one, in the rows of the instance ledger; no copy of each."""
    return np.concatenate([np.frombuffer(getattr(meter, name), np.float64) for meter in meters])


def close(
    queries: Queries,
    book: Book,
    meters: tuple[Meters, ...],
    deployments: tuple[Deployment, ...],
    events: int,
) -> Ledger:
    """The ledger of a run that has come to its end."""
    preemptions = np.zeros(len(queries), dtype=np.int64)
    if book.preemptions:
        preemptions[list(book.preemptions)] = list(book.preemptions.values())
    deployment = np.frombuffer(book.deployment, np.int64)
    instance = np.frombuffer(book.instance, np.int64)
    there_s, back_s = _on_the_network(queries, deployment, instance, deployments)
    return Ledger(
        arrival_s=queries.arrival_s,
        deployment=deployment,
        instance=instance,
        start_s=np.frombuffer(book.start_s, np.float64),
        first_token_s=np.frombuffer(book.first_token_s, np.float64) + back_s,
        end_s=np.frombuffer(book.end_s, np.float64) + back_s,
        energy_j=np.frombuffer(book.energy_j, np.float64),
        tau_in=queries.tau_in,
        tau_out=queries.tau_out,
        network_s=there_s + back_s,
        preemptions=preemptions,
        deployments=deployments,
        meters=meters,
        events=events,
    )


def _on_the_network(
    queries: Queries, deployment: IntArray, instance: IntArray, deployments: tuple[Deployment, ...]
) -> tuple[FloatArray, FloatArray]:
    """Seconds of each query's way to its instance, and of a token's way back."""
    there_s, back_s = np.zeros(len(queries)), np.zeros(len(queries))
    for index, item in enumerate(deployments):
        if item.network is not None:
            here = deployment == index
            latency_s = np.array(item.network.latency_s)[instance[here]]
            per_token_s = np.array(item.network.per_token_s)[instance[here]]
            there_s[here] = latency_s + per_token_s * queries.tau_in[here]
            back_s[here] = latency_s + per_token_s
    return there_s, back_s
