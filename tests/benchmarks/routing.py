"""How long a routing decision takes: one JSON line, microseconds a decision by policy.

    python tests/benchmarks/routing.py [--deployments 10] [--queries 20000] [--seed 0]

`decision_us` is the policy's `route` alone, with everything it asks of the view; `arrival_us` adds what the
driver keeps for the view. Learning, where a policy does any, is in both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from llmsim.fleet.prices import price
from llmsim.policies import POLICIES
from llmsim.simulation.driver import Ask
from tests.builders import deployment, queries

POLICIES_TIMED = {
    "least_loaded": {"name": "least_loaded"},
    "power_of_two": {"name": "power_of_two"},
    "round_robin": {"name": "round_robin"},
    "weighted_random": {"name": "weighted_random"},
    "zeta_cost": {"name": "zeta_cost"},
    "queue_aware": {"name": "queue_aware"},
    "queue_aware, mean": {"name": "queue_aware", "predictor": "mean"},
    "dual_price": {"name": "dual_price", "min_share": 0.5},
    "energy_slo": {"name": "energy_slo", "slo_s": 3.0},
}


def main() -> None:
    """Time every policy and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--deployments", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    n, k = options.queries, options.deployments
    fleet = [
        deployment(f"m{i}", joules=1 + i, seconds=0.001 * (i + 1), instances=10, share=1 / k, accuracy=50 + i,
                   context=1_000_000)
        for i in range(k)
    ]  # fmt: skip
    asked = queries(rng.integers(1, 3000, n), rng.integers(1, 500, n), np.sort(rng.uniform(0, 3600, n)))
    prices = price(asked, fleet)
    tau_in, tau_out = asked.tau_in.tolist(), asked.tau_out.tolist()
    line = {"queries": n, "deployments": k, "seed": options.seed}
    for label, node in POLICIES_TIMED.items():
        ask = Ask(POLICIES.build(node), prices, np.random.default_rng(options.seed))
        ask(0, tau_in[0], tau_out[0])  # prices the forecasts
        start = time.perf_counter()
        for query in range(1, n):
            ask(query, tau_in[query], tau_out[query])
        arrival_s = time.perf_counter() - start
        policy = POLICIES.build(node)
        ask = Ask(policy, prices, np.random.default_rng(options.seed))
        ask(0, tau_in[0], tau_out[0])
        start = time.perf_counter()
        for query in range(1, n):
            ask.view.query = query
            policy.route(tau_in[query], float(tau_out[query]), ask.view)
        decision_s = time.perf_counter() - start
        line[label] = {
            "decision_us": round(1e6 * decision_s / (n - 1), 2),
            "arrival_us": round(1e6 * arrival_s / (n - 1), 2),
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
