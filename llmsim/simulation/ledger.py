"""What a run leaves: one row a query, one row an instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import FloatArray, IntArray
from llmsim.fleet.deployment import Deployment


@dataclass(frozen=True)
class Ledger:
    """Served queries as columns, in order of arrival; all of shape (n,).

    Attributes:
        deployment: index into `deployments`.
        instance: index of the instance within its deployment.
        start_s, first_token_s, end_s: seconds since the start of the trace.
        energy_j: active joules; NaN on a deployment whose energy was never measured.
        deployments: the fleet's deployments.
    """

    arrival_s: FloatArray
    deployment: IntArray
    instance: IntArray
    start_s: FloatArray
    first_token_s: FloatArray
    end_s: FloatArray
    energy_j: FloatArray
    deployments: tuple[Deployment, ...]

    @property
    def end_of_run_s(self) -> float:
        """When the last query ends, seconds since the start of the trace."""
        return float(self.end_s.max(initial=0.0))

    def instances(self) -> InstanceLedger:
        """Busy seconds, joules and queries of each instance, every deployment's in turn."""
        sizes = [item.instances for item in self.deployments]
        first = np.concatenate([[0], np.cumsum(sizes)])
        row = first[self.deployment] + self.instance
        total = int(first[-1])
        return InstanceLedger(
            deployment=np.repeat(np.arange(len(sizes)), sizes),
            instance=np.concatenate([np.arange(size) for size in sizes]),
            queries=np.bincount(row, minlength=total),
            busy_s=_sums(row, self.end_s - self.start_s, total),
            energy_active_j=_sums(row, self.energy_j, total),
            deployments=self.deployments,
        )


@dataclass(frozen=True)
class InstanceLedger:
    """Instances as columns, shape (total instances,).

    Attributes:
        deployment: index into `deployments`.
        instance: index within the deployment.
        queries: queries served.
        busy_s: seconds serving.
        energy_active_j: joules while serving; NaN where no energy was measured.
    """

    deployment: IntArray
    instance: IntArray
    queries: IntArray
    busy_s: FloatArray
    energy_active_j: FloatArray
    deployments: tuple[Deployment, ...]

    def idle_energy_j(self, horizon_s: float) -> FloatArray:
        """Joules of the powered but idle rest of the horizon; NaN where idle power is not known."""
        return self._idle_power_w * (horizon_s - self.busy_s)

    @property
    def _idle_power_w(self) -> FloatArray:
        power_w = [np.nan if item.idle_power_w is None else item.idle_power_w for item in self.deployments]
        return np.array(power_w)[self.deployment]


def _sums(row: IntArray, values: FloatArray, total: int) -> FloatArray:
    return np.bincount(row, weights=values, minlength=total).astype(np.float64)


def collect(
    arrival_s: FloatArray,
    rows: Sequence[tuple[int, int, float, float, float, float]],
    deployments: tuple[Deployment, ...],
) -> Ledger:
    """The ledger of rows (deployment, instance, start, first token, end, joules), in order of arrival."""
    table: NDArray[np.float64] = np.array(rows, dtype=np.float64).reshape(len(rows), 6)
    return Ledger(
        arrival_s=arrival_s,
        deployment=table[:, 0].astype(np.int64),
        instance=table[:, 1].astype(np.int64),
        start_s=table[:, 2],
        first_token_s=table[:, 3],
        end_s=table[:, 4],
        energy_j=table[:, 5],
        deployments=deployments,
    )
