"""The hybrid study: one model on a small machine and a big one, short queries to the small.

What a split saves is told against the big machine alone. It depends on what each machine's joules cover:
those of the small one are of its GPU and CPU, those of the big one of its GPU alone. So watts of a host are
added to either, and it is said at how many the answer turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray
from llmsim.curves.forms import AUTO
from llmsim.curves.query import FittedQueryCurve
from llmsim.curves.query_fit import fit_queries
from llmsim.curves.select import grid_rows, rows_of
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices
from llmsim.policies.threshold import KEYS, Threshold
from llmsim.trials import Trials

Record = dict[str, Any]
SMALL, BIG = 0, 1
GPU_AND_CPU = "soc_gpu+cpu"  # the scope of trials whose joules are of both
# A trial of whose joules the GPU had less was not metered right: one on the M1 Pro says 0.8 %, the others say
# 63 % and more.
LEAST_GPU_PART = 0.1


@dataclass(frozen=True)
class Split:
    """Which queries go to the small machine, and what that costs.

    Attributes:
        small: shape (n,).
        energy_j: joules of all queries.
        mean_runtime_s: seconds of service a query.
        saving_pct: of energy, against the big machine alone; negative where it costs more.
    """

    small: BoolArray
    energy_j: float
    mean_runtime_s: float
    saving_pct: float

    def record(self) -> Record:
        """Its figures."""
        return {
            "queries_small": int(self.small.sum()),
            "share_small_pct": 100 * float(self.small.mean()),
            "energy_j": self.energy_j,
            "mean_runtime_s": self.mean_runtime_s,
            "saving_pct": self.saving_pct,
        }


def with_host(prices: Prices, watts: Mapping[int, float]) -> Prices:
    """The prices with a host's watts, by deployment, added for as long as each query takes."""
    costs = list(prices.costs)
    for index, power_w in watts.items():
        energy_j = prices.energy_j[:, index] + power_w * prices.runtime_s[:, index]
        costs[index] = replace(costs[index], energy_j=energy_j)
    return replace(prices, costs=tuple(costs))


def split(prices: Prices, small: BoolArray) -> Split:
    """The figures of sending the marked queries, shape (n,), to the small machine and the rest to the big."""
    energy_j, runtime_s = prices.energy_j[prices.pair_of], prices.runtime_s[prices.pair_of]
    total_j = float(np.where(small, energy_j[:, SMALL], energy_j[:, BIG]).sum())
    alone_j = float(energy_j[:, BIG].sum())
    mean_s = float(np.where(small, runtime_s[:, SMALL], runtime_s[:, BIG]).mean())
    return Split(small, total_j, mean_s, 100 * (alone_j - total_j) / alone_j)


def ideal(prices: Prices) -> Split:
    """Every query where it takes less energy: no threshold saves more."""
    energy_j = prices.energy_j[prices.pair_of]
    return split(prices, energy_j[:, SMALL] < energy_j[:, BIG])


def by_threshold(prices: Prices, key: str, threshold: float | None) -> tuple[Split, float]:
    """The split by a threshold on tau_in, tau_out or their product, and the threshold.

    Args:
        threshold: None: the one that saves most, found exactly.
    """
    names = [item.name for item in prices.deployments]
    policy = Threshold(key=key, threshold=threshold, short=names[SMALL], long=names[BIG])
    plan = policy.plan(prices, np.random.default_rng(0))
    if plan.certificate is not None and threshold is None:
        threshold = float(plan.certificate.constants[f"threshold_{key}"])
    return split(prices, plan.deployment == SMALL), float(threshold or 0.0)


def sweep(prices: Prices, thresholds: Sequence[int]) -> Iterator[Record]:
    """A record of each threshold on each key; a product is held against the threshold's square.

    So the companion paper did, which puts all three on one axis.
    """
    for key in KEYS:
        for threshold in thresholds:
            limit = float(threshold) ** 2 if key == "product" else float(threshold)
            found, _ = by_threshold(prices, key, limit)
            yield {"key": key, "threshold": threshold, **found.record()}


def hosts(prices: Prices, powers_w: Sequence[float]) -> Iterator[Record]:
    """A record of the ideal split, and of each key's best threshold, at each power of the big one's host."""
    for power_w in powers_w:
        at = with_host(prices, {BIG: power_w})
        yield {"big_host_w": power_w, "rule": "ideal", "threshold": None, **ideal(at).record()}
        for key in KEYS:
            found, threshold = by_threshold(at, key, None)
            yield {"big_host_w": power_w, "rule": f"best {key}", "threshold": threshold, **found.record()}


def turns(prices: Prices, small: BoolArray) -> Record:
    """Where a fixed split's saving turns, in watts of either host; None where it sends nothing there.

    `turns_at_big_host_w`: what the big machine's host draws when the split saves nothing; it saves above, so
    a negative one says that it saves without. `turns_at_small_host_w`: what the small machine may draw beyond
    what was metered before the split saves nothing. Both are exact: a saving is linear in either.
    """
    if not small.any():
        return {"turns_at_big_host_w": None, "turns_at_small_host_w": None}
    energy_j, runtime_s = (x[prices.pair_of][small].sum(axis=0) for x in (prices.energy_j, prices.runtime_s))
    gained_j = float(energy_j[BIG] - energy_j[SMALL])
    return {
        "turns_at_big_host_w": -gained_j / float(runtime_s[BIG]),
        "turns_at_small_host_w": gained_j / float(runtime_s[SMALL]),
    }


def last_turn_w(prices: Prices) -> float:
    """Watts beyond what was metered that leave the small machine no query: what even the ideal split bears.

    A query that a curve predicts to take no time bears any power, and does not count.
    """
    used = np.unique(prices.pair_of)
    gain_j: FloatArray = (prices.energy_j[:, BIG] - prices.energy_j[:, SMALL])[used]
    runtime_s = prices.runtime_s[used, SMALL]
    counts = runtime_s > 0
    return float((gain_j[counts] / runtime_s[counts]).max())


def gpu_only(trials: Trials, system: str, model: str) -> FittedQueryCurve:
    """A curve that fits the GPU's joules alone, where trials tell the CPU's apart.

    Raises:
        InputError: the trials of this pair do not tell them.
    """
    rows = grid_rows(rows_of(trials, system, model))
    if str(rows["scope"][0]) != GPU_AND_CPU or not np.isfinite(rows["cpu_energy_j"]).all():
        raise InputError(
            f"The trials of {model} on {system} do not hold GPU and CPU together and apart, as those of the "
            "small machine must: put hardware=m1_pro first."
        )
    gpu_j = rows["energy_j"] - rows["cpu_energy_j"]
    gpu = Trials({**rows.columns, "energy_j": gpu_j}).take(gpu_j > LEAST_GPU_PART * rows["energy_j"])
    return fit_queries(trials, gpu, AUTO)[0]
