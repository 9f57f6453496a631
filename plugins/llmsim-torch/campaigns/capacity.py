"""How many queries a second a fleet can serve: the highest rate at which its simulated queue settles.

    python capacity.py WORD...

The words are those of a simulated run; arrivals are drawn here. Prints one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from llmsim.api import Config, load_config
from llmsim.backends.simulator import Simulator
from llmsim.fleet.prices import Prices, price
from llmsim.policies import POLICIES
from llmsim.simulation.run import Entry, admit, run_policy
from llmsim.tasks.inputs import fleet_of, rng_of, workload_of

QUERIES = 20_000
# A queue that grows by the same all the time waits three times as long in its second half as in its first,
# and one that has settled as long.
GROWS = 2.0
# Waits of less than this share of the mean time of service tell nothing about growth.
NEGLIGIBLE = 0.05
STEPS = 10


@dataclass(frozen=True)
class Capacity:
    """Rates, queries a second.

    Attributes:
        capacity_per_s: the highest at which the queue settles.
        saturated_per_s: queries over makespan, where all arrive at once.
        queries: of each simulated run.
        grows: mean wait of the second half over that of the first, just above the capacity.
    """

    capacity_per_s: float
    saturated_per_s: float
    queries: int
    grows: float


def waits_of(config: Config, queries: int = QUERIES) -> Callable[[float], tuple[np.ndarray, float, float]]:
    """What tells of a rate: (each query's wait, mean time of service, makespan), s; infinite: all at once.

    Every rate has the same queries, drawn in pairs of lengths from the workload, and the same gaps between
    them but for their scale.
    """
    arrivals = {"process": "poisson", "rate_per_s": 1.0}
    workload = {**config.workload, "limit": None, "resample": queries, "arrivals": arrivals}
    drawn = workload_of(dataclasses.replace(config, workload=workload))
    fleet = fleet_of(config, None)
    prices = price(drawn, fleet.deployments)
    prices = prices.take(admit(prices)[0])
    engines = [Simulator().open(item) for item in fleet.deployments]

    def waits(rate_per_s: float) -> tuple[np.ndarray, float, float]:
        arrival_s = prices.queries.arrival_s / rate_per_s
        faster: Prices = dataclasses.replace(
            prices, queries=dataclasses.replace(prices.queries, arrival_s=arrival_s)
        )
        policy = POLICIES.build(config.policy)
        entry = Entry("capacity", policy, config.policy)
        ledger = run_policy(entry, faster, engines, rng_of(config.seed, "")).ledger
        wait_s = ledger.start_s - arrival_s
        return wait_s, float(np.mean(ledger.end_s - ledger.start_s)), float(ledger.end_s.max() - arrival_s[0])

    return waits


def growth(wait_s: np.ndarray, service_s: float) -> float:
    """Mean wait of the second half over that of the first; 1 where waits are negligible."""
    half = len(wait_s) // 2
    least_s = NEGLIGIBLE * service_s
    return float((wait_s[half:].mean() + least_s) / (wait_s[:half].mean() + least_s))


def capacity(config: Config, queries: int = QUERIES) -> Capacity:
    """The capacity by bisection, between 0.6 and 1.2 of the saturated throughput."""
    waits = waits_of(config, queries)
    wait_s, _, makespan_s = waits(float("inf"))
    saturated_per_s = len(wait_s) / makespan_s
    low, high, grows = 0.6 * saturated_per_s, 1.2 * saturated_per_s, float("nan")
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = growth(*waits(middle)[:2])
        if found < GROWS:
            low = middle
        else:
            high, grows = middle, found
    return Capacity(low, saturated_per_s, queries, grows)


def main(words: Sequence[str]) -> None:
    """Print the capacity of a fleet."""
    flag = "--config-dir="
    folders = [word.removeprefix(flag) for word in words if word.startswith(flag)]
    config = load_config([word for word in words if not word.startswith(flag)], *folders[:1])
    print(json.dumps(asdict(capacity(config))))


if __name__ == "__main__":
    main(sys.argv[1:])
