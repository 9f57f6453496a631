"""Figures of service: how long queries took, how many were served well, and what that cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.simulation.ledger import InstanceLedger, Ledger

PERCENTILES = (50, 90, 95, 99)
JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0
# Fairness compares this part of the queries with the fewest tokens with as many with the most.
FAIRNESS_TAIL = 0.25


@dataclass(frozen=True)
class ServiceLevel:
    """A service-level objective; a query meets it when it meets every part that is set.

    Attributes:
        ttft_s: most seconds from arrival to the first token.
        tpot_s: most seconds a token after the first, on average.
        latency_s: most seconds from arrival to the last token.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    latency_s: float | None = None

    def check(self, where: str) -> None:
        """Raises InputError, naming the setting under `where`, unless every part is a positive time."""
        for key in ("ttft_s", "tpot_s", "latency_s"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{where}.{key}={value}: must be a number of seconds above 0.")

    @property
    def is_set(self) -> bool:
        """Whether anything is asked."""
        return (self.ttft_s, self.tpot_s, self.latency_s) != (None, None, None)

    def met(self, ledger: Ledger) -> BoolArray:
        """Whether each query meets it, shape (n,)."""
        met = np.ones(len(ledger.arrival_s), dtype=bool)
        for most, taken in (
            (self.ttft_s, ttft_s(ledger)),
            (self.tpot_s, np.nan_to_num(tpot_s(ledger))),
            (self.latency_s, latency_s(ledger)),
        ):
            if most is not None:
                met &= taken <= most
        return met


@dataclass(frozen=True)
class Tariff:
    """Prices of energy and nodes.

    Attributes:
        usd_per_kwh: price of electricity.
        gram_co2_per_kwh: carbon intensity of electricity.
        pue: power usage effectiveness of the site, at least 1; multiplies cost and carbon of energy.
    """

    usd_per_kwh: float | None = None
    gram_co2_per_kwh: float | None = None
    pue: float = 1.0

    def check(self, where: str) -> None:
        """Raises InputError, naming the setting under `where`, unless every part is in range."""
        for key in ("usd_per_kwh", "gram_co2_per_kwh"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{where}.{key}={value}: must be a finite number of at least 0.")
        if not (math.isfinite(self.pue) and self.pue >= 1):
            raise InputError(f"{where}.pue={self.pue}: must be a finite number of at least 1.")


def ttft_s(ledger: Ledger) -> FloatArray:
    """Seconds from arrival to the first token, shape (n,)."""
    return ledger.first_token_s - ledger.arrival_s


def tpot_s(ledger: Ledger) -> FloatArray:
    """Seconds a token after the first, shape (n,); NaN for an answer of one token."""
    steps = ledger.tau_out - 1
    with np.errstate(invalid="ignore"):
        return np.where(steps > 0, (ledger.end_s - ledger.first_token_s) / np.maximum(steps, 1), np.nan)


def latency_s(ledger: Ledger) -> FloatArray:
    """Seconds from arrival to the last token, shape (n,)."""
    return ledger.end_s - ledger.arrival_s


def wait_s(ledger: Ledger) -> FloatArray:
    """Seconds from arrival to the start of service, shape (n,)."""
    return ledger.start_s - ledger.arrival_s


def spread(values: FloatArray) -> dict[str, float | None]:
    """Mean and percentiles of the values, shape (n,), that are known (not NaN); None where there are none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"mean": None, **{f"p{rank}": None for rank in PERCENTILES}}
    ranks = np.percentile(known, PERCENTILES).tolist()
    return {
        "mean": float(known.mean()),
        **{f"p{rank}": value for rank, value in zip(PERCENTILES, ranks, strict=True)},
    }


def service(ledger: Ledger, slo: ServiceLevel | None = None) -> dict[str, Any]:
    """Latencies, throughput, fairness, and how many queries met the objective at how many joules.

    Throughput counts from the first arrival to the last end.
    """
    span_s = ledger.end_of_run_s - (float(ledger.arrival_s[0]) if len(ledger.arrival_s) else 0.0)
    tokens = int(ledger.tau_out.sum())
    figures: dict[str, Any] = {
        "ttft_s": spread(ttft_s(ledger)),
        "tpot_s": spread(tpot_s(ledger)),
        "latency_s": spread(latency_s(ledger)),
        "wait_s": spread(wait_s(ledger)),
        "throughput_queries_per_s": len(ledger.arrival_s) / span_s if span_s > 0 else None,
        "throughput_tokens_per_s": tokens / span_s if span_s > 0 else None,
        "preemptions": int(ledger.preemptions.sum()),
        "fairness": fairness(ledger),
    }
    figures |= {"slo_attainment_pct": None, "energy_active_per_query_in_slo_j": None}
    if slo is not None and slo.is_set:
        met = slo.met(ledger)
        energy_j = float(ledger.energy_j.sum())
        figures["slo_attainment_pct"] = 100.0 * float(met.mean()) if len(met) else None
        figures["energy_active_per_query_in_slo_j"] = (
            energy_j / int(met.sum()) if met.any() and math.isfinite(energy_j) else None
        )
    return figures


def fairness(ledger: Ledger) -> dict[str, float | None]:
    """How evenly short and long queries are treated.

    The slowdown of a query is its latency a generated token. `short_to_long` is the mean slowdown of the
    quarter of queries with the fewest tokens over that of the quarter with the most; `jain` is the index of
    Jain, Chiu and Hawe (1984) over all slowdowns, 1 when all are equal.
    """
    n = len(ledger.arrival_s)
    if n == 0:
        return {"short_to_long": None, "jain": None}
    slowdown = latency_s(ledger) / ledger.tau_out
    order = np.argsort(ledger.tau_in + ledger.tau_out, kind="stable")
    size = max(1, int(FAIRNESS_TAIL * n))
    short, long = slowdown[order[:size]].mean(), slowdown[order[-size:]].mean()
    squares = float((slowdown**2).sum())
    return {
        "short_to_long": float(short / long) if long > 0 else None,
        "jain": float(slowdown.sum() ** 2 / (n * squares)) if squares > 0 else None,
    }


def bill(
    energy_j: float | None, deployments: Sequence[Deployment], horizon_s: float, tariff: Tariff
) -> dict[str, float | None]:
    """What a fleet costs over the horizon: energy, carbon, nodes; None where a price is not known.

    Args:
        energy_j: the fleet's own; with the site's overhead it stands in a column of its own.
        deployments: whose nodes are paid, busy or not.
    """
    site_kwh = None if energy_j is None else tariff.pue * energy_j / JOULES_PER_KWH
    hourly = [
        None
        if item.target.hardware.usd_per_hour is None
        else item.target.hardware.usd_per_hour * item.target.n_devices * item.instances
        for item in deployments
    ]
    rates = [rate for rate in hourly if rate is not None]
    return {
        "energy_with_pue_j": None if energy_j is None else tariff.pue * energy_j,
        "cost_energy_usd": _times(site_kwh, tariff.usd_per_kwh),
        "carbon_g": _times(site_kwh, tariff.gram_co2_per_kwh),
        "cost_nodes_usd": sum(rates) * horizon_s / SECONDS_PER_HOUR if len(rates) == len(hourly) else None,
    }


def states(
    instances: InstanceLedger, horizon_s: float, chosen: BoolArray | None = None
) -> dict[str, Mapping[str, float | None]]:
    """Seconds and joules by state, summed over instances; joules are None where they are not known.

    Args:
        chosen: which instances count, shape (total instances,); None: all.
    """
    found: dict[str, Mapping[str, float | None]] = {}
    for name, (seconds, joules) in instances.states(horizon_s).items():
        total = float(joules.sum() if chosen is None else joules[chosen].sum())
        found[name] = {
            "instance_s": float(seconds.sum() if chosen is None else seconds[chosen].sum()),
            "energy_j": total if math.isfinite(total) else None,
        }
    return found


def _times(amount: float | None, price: float | None) -> float | None:
    """The product; None where either is not known."""
    return None if amount is None or price is None else amount * price
