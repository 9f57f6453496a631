"""A run as tables: `queries.parquet`, `instances.parquet`, `plan.csv`, `series.parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmsim.arrow import array, texts
from llmsim.report.account import accuracy_pct
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.run import Run
from llmsim.simulation.tape import Stretches
from llmsim.simulation.timeline import series
from llmsim.workload.queries import Queries

if TYPE_CHECKING:
    import pyarrow as pa


def queries_table(run: Run, workload: Queries) -> pa.Table:
    """One row a query of the workload, in order of arrival.

    Columns: query, arrival_s, tau_in, tau_out, deployment, instance, start_s, first_token_s, end_s, energy_j,
    accuracy_pct, extrapolated, refused. A refused query has only its first four and the reason in `refused`;
    a figure that is not known is null.
    """
    import pyarrow as pa

    n = len(workload)
    names = [item.name for item in run.prices.deployments]
    refused = np.full(n, None, dtype=object)
    for reason, numbers in run.refused.items():
        refused[numbers] = reason
    extrapolated = run.prices.extrapolated[run.prices.pair_of, run.ledger.deployment]

    def spread(values: Any, kind: pa.DataType) -> pa.Array:
        """Values of the served queries in the workload's rows; null elsewhere and for NaN."""
        column = np.zeros(n, dtype=values.dtype)
        column[run.served] = values
        known = np.zeros(n, dtype=bool)
        known[run.served] = ~np.isnan(values) if values.dtype.kind == "f" else True
        return array(column, missing=~known).cast(kind)

    deployment = pa.DictionaryArray.from_arrays(spread(run.ledger.deployment, pa.int32()), texts(names))
    return pa.table(
        {
            "query": array(np.arange(n)),
            "arrival_s": array(workload.arrival_s),
            "tau_in": array(workload.tau_in),
            "tau_out": array(workload.tau_out),
            "deployment": deployment,
            "instance": spread(run.ledger.instance, pa.int32()),
            "start_s": spread(run.ledger.start_s, pa.float64()),
            "first_token_s": spread(run.ledger.first_token_s, pa.float64()),
            "end_s": spread(run.ledger.end_s, pa.float64()),
            "energy_j": spread(run.ledger.energy_j, pa.float64()),
            "accuracy_pct": spread(accuracy_pct(run), pa.float64()),
            "extrapolated": spread(extrapolated, pa.bool_()),
            "refused": texts(refused.tolist()),
        }
    )


def instances_table(run: Run, horizon_s: float) -> pa.Table:
    """One row an instance.

    Columns: deployment, instance, hardware, model, devices, queries, busy_s, utilisation, energy_active_j,
    energy_idle_j (idle, asleep and waking), energy_j, and seconds and joules by state: serve_s, serve_j,
    prefill_s, .. asleep_j, whose seconds sum to the horizon. A figure that is not known is null.
    """
    import pyarrow as pa

    instances = run.ledger.instances()
    idle_j = instances.idle_energy_j(horizon_s)

    def named(values: list[str]) -> pa.Array:
        """A name for each instance, of those of the deployments."""
        return texts([values[index] for index in instances.deployment.tolist()]).dictionary_encode()

    def known(values: Any) -> pa.Array:
        """Figures, null where there are none."""
        return array(values, missing=np.isnan(values))

    deployments = run.prices.deployments
    return pa.table(
        {
            "deployment": named([item.name for item in deployments]),
            "instance": array(instances.instance.astype(np.int32)),
            "hardware": named([item.target.hardware.name for item in deployments]),
            "model": named([item.target.model.name for item in deployments]),
            "devices": array(
                np.array([item.target.n_devices for item in deployments], np.int32)[instances.deployment]
            ),
            "queries": array(instances.queries),
            "busy_s": array(instances.busy_s),
            "utilisation": array(instances.busy_s / horizon_s),
            "energy_active_j": known(instances.energy_active_j),
            "energy_idle_j": known(idle_j),
            "energy_j": known(instances.energy_active_j + idle_j),
            **{
                f"{state}_{unit}": known(values)
                for state, both in instances.states(horizon_s).items()
                for unit, values in zip(("s", "j"), both, strict=True)
            },
        }
    )


def series_table(filled: Stretches, ledger: Ledger, interval_s: float, horizon_s: float) -> pa.Table:
    """One row a deployment and interval of time: means over the interval.

    Columns: deployment, time_s (when the interval begins), power_w (of all its instances, idle ones
    included; null where it is not known), waiting, serving (queries).

    Args:
        filled: from `timeline.fill`.
    """
    import pyarrow as pa

    found = [series(filled, ledger, interval_s, horizon_s, index) for index in range(len(ledger.deployments))]

    def column(name: str) -> Any:
        """The intervals of all deployments, one deployment after the other."""
        return np.concatenate([getattr(one, name) for one in found])

    power_w = column("power_w")
    names = [item.name for item, one in zip(ledger.deployments, found, strict=True) for _ in one.time_s]
    return pa.table(
        {
            "deployment": texts(names).dictionary_encode(),
            "time_s": array(column("time_s")),
            "power_w": array(power_w, missing=np.isnan(power_w)),
            "waiting": array(column("waiting")),
            "serving": array(column("serving")),
        }
    )


def plan_table(run: Run) -> pa.Table:
    """One row a served query: where it goes, and what that was predicted to cost there.

    Columns: query, arrival_s, tau_in, tau_out, deployment, predicted_energy_j, predicted_runtime_s,
    extrapolated.
    """
    import pyarrow as pa

    prices, chosen = run.prices, run.ledger.deployment
    nothing = np.full(len(prices.tau_in), np.nan)

    def predicted(column: str) -> pa.Array:
        """A cost of each query where it goes, by the curve."""
        table = [getattr(cost, column) for cost in prices.costs]
        values = np.column_stack([nothing if item is None else item for item in table])[
            prices.pair_of, chosen
        ]
        return array(values, missing=np.isnan(values))

    return pa.table(
        {
            "query": array(run.served),
            "arrival_s": array(prices.queries.arrival_s),
            "tau_in": array(prices.queries.tau_in),
            "tau_out": array(prices.queries.tau_out),
            "deployment": texts([prices.deployments[index].name for index in chosen.tolist()]),
            "predicted_energy_j": predicted("energy_j"),
            "predicted_runtime_s": predicted("runtime_s"),
            "extrapolated": array(prices.extrapolated[prices.pair_of, chosen]),
        }
    )
