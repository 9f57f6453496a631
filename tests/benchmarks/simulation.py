"""How fast the simulator is: one JSON line.

    python tests/benchmarks/simulation.py --discipline continuous --queries 19366 --instances 8 --speed 4

One deployment of a made-up 8B model on a made-up device (`tests/synthetic_phase.py`: 128k context, batch
256). Queries are the Azure 2023 conversation trace, as often as needed, with the load of an instance that 8
instances have under the trace at `--speed` times its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from llmsim.backends.simulator import Simulator  # noqa: E402
from llmsim.fleet.deployment import Deployment  # noqa: E402
from llmsim.fleet.prices import price  # noqa: E402
from llmsim.fleet.serving import Serving  # noqa: E402
from llmsim.simulation.driver import follow, play  # noqa: E402
from llmsim.simulation.stations import limits_of  # noqa: E402
from llmsim.specs.target import Target  # noqa: E402
from llmsim.workload.queries import Queries  # noqa: E402
from llmsim.workload.settings import shipped_path  # noqa: E402
from llmsim.workload.trace import read_trace  # noqa: E402
from tests import builders  # noqa: E402
from tests.simulation import reference, reference_batches  # noqa: E402
from tests.synthetic_phase import CONTEXT_TOKENS, MAX_BATCH, synthetic_phase  # noqa: E402

POLICIES = {"least_loaded": "join_shortest", "round_robin": "round_robin", "shared": "shared"}
TRACE_INSTANCES = 8
REFERENCE_QUERIES = 1000


def workload(queries: int, instances: int, speed: float) -> Queries:
    """The trace, repeated end to end, at the load an instance that 8 have at `speed`."""
    trace = read_trace(str(shipped_path("azure_2023_conv.csv")))
    times = -(-queries // len(trace))
    span_s = trace.arrival_s[-1] + trace.arrival_s[-1] / len(trace)
    arrival_s = (trace.arrival_s + span_s * np.arange(times)[:, None]).ravel()[:queries]
    return Queries(
        arrival_s * TRACE_INSTANCES / (speed * instances),
        np.tile(trace.tau_in, times)[:queries],
        np.tile(trace.tau_out, times)[:queries],
        name="azure_conv",
    )


def deployment(arguments: argparse.Namespace) -> Deployment:
    """The made-up deployment."""
    model = replace(
        builders.model("synthetic_8b", context_tokens=CONTEXT_TOKENS),
        weight_bytes=16_000_000_000,
        kv_bytes_per_token=131_072,
        num_key_value_heads=8,
        num_attention_heads=32,
    )
    target = Target(model, builders.hardware(memory_gb=141.0), 1, "bf16", True, MAX_BATCH)
    serving = Serving(
        discipline=arguments.discipline,
        dispatcher=POLICIES[arguments.policy],
        max_batch=arguments.batch,
        kv=arguments.kv,
        chunk_tokens=arguments.chunk,
        batch_wait_s=0.05,
    )
    return Deployment(
        "synthetic", target, synthetic_phase(), arguments.discipline, arguments.instances, 1.0, {}, serving
    )


def reference_error(item: Deployment, queries: Queries) -> float:
    """Largest relative difference from the plain reference, over the first queries."""
    some = queries.take(np.arange(min(REFERENCE_QUERIES, len(queries))))
    engine = Simulator().open(item)
    ours = play(some, [engine], price(some, [item]), follow(np.zeros(len(some), np.int64)))
    columns = [ours.first_token_s, ours.end_s]
    if item.discipline == "continuous":
        dispatcher = reference.DISPATCHERS[item.dispatcher]()
        rows, _ = reference.play(
            some, some.tau_out.tolist(), engine.costs, limits_of(item), item.instances, dispatcher
        )
        theirs = [[row.first_token_s for row in rows], [row.end_s for row in rows]]
        columns.append(ours.energy_j)
        theirs.append([row.energy_j for row in rows])
    else:

        def serve(tau_in: list[int], tau_out: list[int]) -> tuple[float, float]:
            took = engine.serve(tau_in, tau_out)
            return took.runtime_s, took.first_token_s

        shared = item.dispatcher == "shared"
        rows = reference_batches.play(
            some, serve, item.instances, item.max_batch, item.serving.batch_wait_s, shared
        )
        theirs = [rows[1], rows[2]]
    return max(float(np.max(np.abs(np.asarray(b) / a - 1))) for a, b in zip(columns, theirs, strict=True))


def main() -> None:
    """Run once and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--discipline", choices=["serial", "static", "continuous"], default="continuous")
    parser.add_argument("--queries", type=int, default=19_366)
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--policy", choices=sorted(POLICIES), default=None)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--kv", choices=["reserve", "grow"], default="reserve")
    parser.add_argument("--chunk", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.policy is None:
        arguments.policy = "least_loaded" if arguments.discipline == "continuous" else "shared"
    item = deployment(arguments)
    queries = workload(arguments.queries, arguments.instances, arguments.speed)
    prices = price(queries, [item])
    route = follow(np.zeros(len(queries), np.int64))
    start, start_cpu = time.perf_counter(), time.process_time()
    ledger = play(queries, [Simulator().open(item)], prices, route)
    instances = ledger.instances()
    took, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    tokens = int(queries.tau_out.sum())
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                **vars(arguments),
                "queries_per_s": round(len(queries) / took),
                "queries_per_cpu_s": round(len(queries) / cpu),
                "wall_s": round(time.perf_counter() - STARTED, 3),
                "peak_rss_mb": round(peak_kb / 1024, 1),
                "events": ledger.events,
                "tokens": tokens,
                "tokens_per_event": round(tokens / ledger.events, 1),
                "utilisation": round(
                    float(instances.busy_s.mean() / (ledger.end_of_run_s - queries.arrival_s[0])), 3
                ),
                "preemptions": int(ledger.preemptions.sum()),
                "reference_max_rel_error": reference_error(item, queries),
                "ledger_sha256": ledger.sha256(),
            }
        )
    )


if __name__ == "__main__":
    main()
