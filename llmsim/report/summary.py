"""The figures of a run: what `summary.json` holds.

The schema is documented in `docs/summary.md`. Units are in the keys. A figure that could not be had is null,
and `absent` says why; it is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray
from llmsim.fleet.deployment import Deployment
from llmsim.policies.bounds import Bounds
from llmsim.simulation.run import Run

SCHEMA_VERSION = 1
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Horizon:
    """The stretch of time over which every row of a table counts idle energy.

    Attributes:
        start_s: the first arrival of the trace, refused queries included.
        end_s: the longest end among all rows, or later where the fleet sets it.
    """

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s


def row(run: Run, horizon: Horizon) -> dict[str, Any]:
    """Every figure of one policy: the keys that the run and each baseline share."""
    ledger = run.ledger
    instances = ledger.instances()
    idle_j = instances.idle_energy_j(horizon.length_s)
    active, idle = _sum(ledger.energy_j), _sum(idle_j)
    total = None if active is None or idle is None else active + idle
    accuracy = accuracy_pct(run)
    served = len(run.served)
    tokens_out = int(run.prices.queries.tau_out.sum())
    figures = {
        "policy": run.policy["name"],
        "policy_settings": {key: value for key, value in run.policy.items() if key != "name"},
        "served": served,
        "refused": sum(len(numbers) for numbers in run.refused.values()),
        "refused_reasons": {reason: len(numbers) for reason, numbers in run.refused.items()},
        "extrapolated": int(_extrapolated(run).sum()),
        "energy_j": total,
        "energy_active_j": active,
        "energy_idle_j": idle,
        "energy_per_query_j": None if total is None else total / served,
        "energy_per_output_token_j": None if total is None else total / tokens_out,
        "energy_active_per_query_j": None if active is None else active / served,
        "accuracy_pct": _weighted_mean(accuracy, _tokens(run)),
        "horizon_s": horizon.length_s,
        "makespan_s": ledger.end_of_run_s - horizon.start_s,
        "utilisation": float(instances.busy_s.sum() / (horizon.length_s * len(instances.busy_s))),
        "latency_s": _spread(ledger.end_s - ledger.arrival_s),
        "wait_s": _spread(ledger.start_s - ledger.arrival_s),
        "ttft_s": _spread(ledger.first_token_s - ledger.arrival_s),
        "certificate": _certificate(run),
        "deployments": _deployments(run, horizon, accuracy),
        "negative_predictions": _negative(run),
    }
    return {**figures, "absent": _absences(figures)}


def accuracy_pct(run: Run) -> FloatArray:
    """Accuracy of each served query where it was served, percent, shape (served,); NaN where not known."""
    chosen: FloatArray = run.prices.scores_pct[np.arange(len(run.served)), run.ledger.deployment]
    return chosen


def keeps(run: Run, bounds: Bounds | None, served: IntArray) -> str | None:
    """Why a run cannot be held against another, or None where it can.

    Args:
        bounds: on the number of queries of each deployment, which both must keep; None: no bounds.
        served: the queries that the other run served.
    """
    if not np.array_equal(run.served, served):
        common = len(np.intersect1d(run.served, served))
        return f"serves {common:,} of the {len(served):,} queries"
    if bounds is None:
        return None
    counts = np.bincount(run.ledger.deployment, minlength=len(bounds.names)).tolist()
    for name, count, low, high in zip(bounds.names, counts, bounds.lower, bounds.upper, strict=True):
        if count < low:
            return f"breaks the bounds: {name} gets {count:,} of at least {int(low):,} queries"
        if count > high:
            return f"breaks the bounds: {name} gets {count:,} of at most {int(high):,} queries"
    return None


def saving_pct(ours_j: float | None, theirs_j: float | None) -> float | None:
    """By how much ours is below theirs, percent of theirs; None where either is absent or theirs is 0."""
    if ours_j is None or theirs_j is None or theirs_j == 0:
        return None
    return 100.0 * (theirs_j - ours_j) / theirs_j


def _absences(figures: Mapping[str, Any]) -> dict[str, str]:
    """Why each absent figure of a row is absent."""
    reasons: dict[str, str] = {}
    for key in ("accuracy_pct", "energy_active_j", "energy_idle_j", "energy_j"):
        parts = [part["absent"].get(key) for part in figures["deployments"].values()]
        if figures[key] is None:
            reasons[key] = "; ".join(dict.fromkeys(part for part in parts if part))
    for key in ("energy_per_query_j", "energy_per_output_token_j"):
        if figures[key] is None:
            reasons[key] = reasons["energy_j"]
    if figures["energy_active_per_query_j"] is None:
        reasons["energy_active_per_query_j"] = reasons["energy_active_j"]
    return reasons


def _deployments(run: Run, horizon: Horizon, accuracy: FloatArray) -> dict[str, Any]:
    ledger, instances = run.ledger, run.ledger.instances()
    idle_j = instances.idle_energy_j(horizon.length_s)
    tokens = _tokens(run)
    result = {}
    for index, item in enumerate(run.prices.deployments):
        here, own = ledger.deployment == index, instances.deployment == index
        active, idle = _sum(ledger.energy_j[here]), _sum(idle_j[own])
        part = {
            "model": item.target.model.name,
            "hardware": item.target.hardware.name,
            "queries": int(here.sum()),
            "energy_j": None if active is None or idle is None else active + idle,
            "energy_active_j": active,
            "energy_idle_j": idle,
            "accuracy_pct": _weighted_mean(accuracy[here], tokens[here]),
            "instances": item.instances,
            "devices_per_instance": item.target.n_devices,
            "discipline": item.discipline,
            "kv_cache": item.target.kv_cache,
            "left_out_error": dict(item.provenance.get("left_out_error", {})),
            "share": item.share,
            "utilisation": float(instances.busy_s[own].sum() / (horizon.length_s * item.instances)),
            "mean_runtime_s": float(np.mean((ledger.end_s - ledger.start_s)[here])) if here.any() else None,
            "latency_s": _spread((ledger.end_s - ledger.arrival_s)[here]),
        }
        reasons = _absent_of(item, run.prices.costs[index].energy_j is None)
        absent = {key: reason for key, reason in reasons.items() if part.get(key) is None}
        result[item.name] = {**part, "absent": absent}
    return result


def _absent_of(item: Deployment, unmeasured: bool) -> dict[str, str]:
    """Why figures of one deployment are absent, whatever it served."""
    reasons: dict[str, str] = {}
    model, hardware = item.target.model, item.target.hardware
    if unmeasured:
        reasons |= dict.fromkeys(("energy_active_j", "energy_mape_pct"), "no measurement of its energy")
    if item.idle_power_w is None:
        reasons["energy_idle_j"] = (
            f"no source states the idle power of {hardware.name}; set hardware.{hardware.name}.idle_power_w"
        )
    if model.accuracy_pct is None:
        reasons["accuracy_pct"] = f"no accuracy score is known for {model.name}"
    if {"energy_active_j", "energy_idle_j"} & reasons.keys():
        reasons["energy_j"] = "; ".join(
            reasons[key] for key in ("energy_active_j", "energy_idle_j") if key in reasons
        )
    return reasons


def _certificate(run: Run) -> dict[str, Any] | None:
    if run.plan is None or run.plan.certificate is None:
        return None
    return asdict(run.plan.certificate)


def _negative(run: Run) -> dict[str, Any]:
    """Queries for which a curve predicts negative joules or seconds, by deployment; only a form that can.

    Negative seconds are played as none.
    """
    result: dict[str, Any] = {}
    for index, (item, cost) in enumerate(zip(run.prices.deployments, run.prices.costs, strict=True)):
        here = run.ledger.deployment == index
        fits = run.prices.eligible[run.prices.pair_of, index]
        for what, unit, values in (("energy", "j", cost.energy_j), ("runtime", "s", cost.runtime_s)):
            if values is None or not (values < 0).any():
                continue
            per_query = values[run.prices.pair_of]
            below = (per_query < 0) & fits
            if below.any():
                result.setdefault(item.name, {})[what] = {
                    "queries_priced": int(below.sum()),
                    f"priced_{unit}": float(per_query[below].sum()),
                    "queries_served": int((below & here).sum()),
                    f"served_{unit}": float(per_query[below & here].sum()),
                }
    return result


def _extrapolated(run: Run) -> BoolArray:
    chosen: BoolArray = run.prices.extrapolated[run.prices.pair_of, run.ledger.deployment]
    return chosen


def _tokens(run: Run) -> FloatArray:
    return (run.prices.queries.tau_in + run.prices.queries.tau_out).astype(np.float64)


def _sum(values: FloatArray) -> float | None:
    total = float(values.sum())
    return total if np.isfinite(total) else None


def _weighted_mean(values: FloatArray, weights: FloatArray) -> float | None:
    """None where there is nothing to average, or some of it is not known."""
    return None if not len(values) or np.isnan(values).any() else float(np.average(values, weights=weights))


def _spread(values: FloatArray) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, **{f"p{rank}": None for rank in PERCENTILES}}
    ranks = np.percentile(values, PERCENTILES).tolist()
    return {
        "mean": float(values.mean()),
        **{f"p{rank}": v for rank, v in zip(PERCENTILES, ranks, strict=True)},
    }
