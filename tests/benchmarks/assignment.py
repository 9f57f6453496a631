"""How fast the offline optimum is: one JSON line.

    python tests/benchmarks/assignment.py --queries 1000000 --deployments 7 [--bounds count|time] [--seed 0]

Token counts are drawn from the Azure 2023 conversation trace and jittered, so that pairs are mostly distinct.
The deployments are invented, with costs of the shape that serving without a KV cache has. Reported are
build_s (drawing the queries, pricing them, turning prices into costs), solve_s (the optimum and its
certificate), total_s, peak_rss_mb, objective, lower_bound and gap; also the distinct pairs, and which bounds
bind.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from llmsim.curves.cost import Cost
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.prices import Prices, price
from llmsim.policies.contract import Plan
from llmsim.policies.optimal import Optimal
from llmsim.specs.target import Target
from llmsim.workload.queries import Queries
from tests.builders import hardware, model

TRACE = Path(__file__).resolve().parents[2] / "llmsim" / "data" / "workloads" / "azure_2023_conv.csv"
# The factor on each token count: its median (prompts have grown since) and its spread in e-folds.
LONGER, JITTER = 4.0, 1.0
# A bound on time binds when this part of it is left, or less.
NEARLY = 1e-4
# Joules and seconds of a forward pass: fixed, and by tokens processed; accuracy in percent.
DEPLOYMENTS = (
    (20.0, 0.020, 0.06, 0.00005, 51.0),
    (30.0, 0.035, 0.10, 0.00008, 55.7),
    (120.0, 0.150, 0.50, 0.00030, 64.5),
    (22.0, 0.018, 0.05, 0.00006, 60.9),
    (55.0, 0.080, 0.20, 0.00020, 61.5),
    (18.0, 0.025, 0.07, 0.00005, 44.2),
    (80.0, 0.060, 0.30, 0.00015, 68.5),
)


@dataclass(frozen=True)
class Passes:
    """Cost of tau_out forward passes over a growing sequence: affine in the tokens of each pass."""

    pass_j: float
    token_j: float
    pass_s: float
    token_s: float

    def cost(self, tau_in, tau_out):
        """Without a KV cache: a pass a token, over everything before it."""
        passes = tau_out.astype(np.float64)
        tokens = passes * tau_in + passes * (passes + 1) / 2
        return Cost(
            runtime_s=self.pass_s * passes + self.token_s * tokens,
            runtime_se_s=None,
            energy_j=self.pass_j * passes + self.token_j * tokens,
            energy_se_j=None,
            extrapolated=np.zeros(len(tokens), dtype=bool),
        )


def draw(number: int, rng: np.random.Generator) -> Queries:
    """Queries like those of the trace; none longer than a million tokens."""
    trace = np.loadtxt(TRACE, delimiter=",", skiprows=1, usecols=(1, 2))
    rows = trace[rng.integers(0, len(trace), number)]
    tokens = np.clip(np.rint(rows * rng.lognormal(np.log(LONGER), JITTER, rows.shape)), 1, 1_000_000).astype(
        np.int64
    )
    return Queries(np.zeros(number), tokens[:, 0], tokens[:, 1])


def fleet(size: int) -> list[Deployment]:
    """Deployments of equal shares; past the seventh, dearer copies of the first."""
    made = []
    for index in range(size):
        *cost, accuracy = DEPLOYMENTS[index % len(DEPLOYMENTS)]
        dearer = 1 + 0.1 * (index // len(DEPLOYMENTS))
        target = Target(
            model(f"m{index}", 10_000_000 if index else 8_192, accuracy), hardware(), 1, "bf16", False, 1
        )
        curve = Passes(*(value * dearer for value in cost))
        made.append(Deployment(f"m{index}@box", target, curve, "serial", 1, 1 / size))
    return made


def scarce_time(prices: Prices) -> dict[str, float]:
    """Instance-seconds such that about a fifth more than all queries fit, the cheapest deployments least."""
    parts = 0.1 + 0.3 * np.arange(len(prices.deployments)) / len(prices.deployments)
    seconds = prices.runtime_s.T @ np.bincount(prices.pair_of).astype(np.float64)
    return {
        item.name: float(part * total)
        for item, part, total in zip(prices.deployments, 1.2 * parts / parts.sum(), seconds, strict=True)
    }


def bounds_kept(kind: str, prices: Prices, plan: Plan) -> int:
    """How many bounds bind: counts are met exactly, times nearly.

    Raises:
        SystemExit: one is broken.
    """
    proof = plan.certificate
    if kind == "count":
        used = np.bincount(plan.deployment, minlength=len(prices.deployments))
        limits = [(low, low, high) for low, high in proof.bounds.values()]
    else:
        runtime_s = prices.runtime_s[prices.pair_of, plan.deployment]
        used = np.bincount(plan.deployment, weights=runtime_s, minlength=len(prices.deployments))
        capacities = proof.constants["capacities"]["instance-seconds"]
        limits = [(0.0, high * (1 - NEARLY), high) for high in capacities.values()]
    binding = 0
    for value, (low, nearly, high) in zip(used.tolist(), limits, strict=True):
        if value < low or (high is not None and value > high):
            raise SystemExit(f"a bound is broken: {value} is outside {low} to {high}")
        binding += value == low > 0 or (high is not None and value >= max(nearly, high * (1 - NEARLY)))
    return int(binding)


def main() -> None:
    """Run one case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, required=True)
    parser.add_argument("--deployments", type=int, default=7)
    parser.add_argument("--bounds", choices=["count", "time"], default="count")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    start = time.perf_counter()
    prices = price(draw(options.queries, np.random.default_rng(options.seed)), fleet(options.deployments))
    policy = Optimal(zeta=0.5, min_share=0.5, max_share=2.0)
    if options.bounds == "time":
        policy = Optimal(zeta=0.5, busy_s=scarce_time(prices))
    priced = policy.priced(prices)
    built = time.perf_counter()
    plan = policy.plan_of(prices, priced)
    solved = time.perf_counter()

    proof = plan.certificate
    binding = bounds_kept(options.bounds, prices, plan)
    print(
        json.dumps(
            {
                "queries": options.queries,
                "deployments": options.deployments,
                "bounds": options.bounds,
                "seed": options.seed,
                "distinct_pairs": len(prices.tau_in),
                "binding": binding,
                "build_s": round(built - start, 4),
                "solve_s": round(solved - built, 4),
                "total_s": round(solved - start, 4),
                "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "objective": proof.objective,
                "lower_bound": proof.lower_bound,
                "gap": proof.gap,
                "solver": proof.solver,
            }
        )
    )


if __name__ == "__main__":
    main()
