"""Mean waits of the simulator near saturation against queueing theory: one JSON line a queue.

    python tests/benchmarks/queueing.py --load 0.97 --queries 1000000 --replications 30

M/D/1, M/G/1 (two lengths) by Pollaczek and Khinchine, M/M/4 by Erlang's C; intervals at 99 %. At a
utilisation of 0.97 a half-width of 5 % takes about thirty million queries a queue, some six minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.simulation.queueing import Queue, replicate

SEED = 1909


def main() -> None:
    """Play each queue and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=float, default=0.97)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--replications", type=int, default=30)
    arguments = parser.parse_args()
    for service, servers in (("deterministic", 1), ("two lengths", 1), ("exponential", 4)):
        queue = Queue(service, servers, arguments.load)
        start = time.perf_counter()
        found, little = replicate(queue, arguments.queries, arguments.replications, SEED)
        print(
            json.dumps(
                {
                    "service": service,
                    "servers": servers,
                    "load": arguments.load,
                    "queries": arguments.queries * arguments.replications,
                    "theory_mean_wait_s": queue.mean_wait_s,
                    "mean_wait_s": found.mean,
                    "half_width_pct": 100 * found.relative_half_width,
                    "theory_inside": queue.mean_wait_s in found,
                    "little_max_rel_error": little,
                    "wall_s": round(time.perf_counter() - start, 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
