"""A made-up run, drawn from a seed: what the report floor is given, at any size."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from llmsim.report.drawing import Drawing
from llmsim.report.plots import Plot, draw

NAMES = ("llama2_7b@a100", "llama2_13b@a100", "llama2_70b@a100")
ACCURACY = np.array([50.97, 55.69, 64.52])
JOULES = np.array([(1.5, 9.0), (2.6, 15.5), (11.0, 78.0)])
SECONDS = np.array([(0.004, 0.030), (0.007, 0.055), (0.016, 0.13)])
DEVICES = np.array([1, 1, 4])
IDLE_W = 53.0
LONGEST = 4096
REASON = "longer than every context (4,096 tokens)"
ONLY = "breaks the bounds: llama2_70b@a100 gets 0 of at least 1"


@dataclass
class Run:
    """The four inputs of the report floor."""

    summary: dict[str, Any]
    queries: pa.Table
    instances: pa.Table
    baseline_queries: dict[str, pa.Table]


@dataclass
class Trace:
    arrival_s: np.ndarray
    tau_in: np.ndarray
    tau_out: np.ndarray
    refused: np.ndarray


def make_trace(n: int, rng: np.random.Generator) -> Trace:
    tau_in = np.clip(rng.lognormal(6.6, 1.1, n), 3, 14_000).astype(np.int64)
    tau_out = np.clip(rng.lognormal(5.1, 0.8, n), 1, 1_000).astype(np.int64)
    rate = 1.0 + 0.5 * np.sin(np.linspace(0, 9, n))
    arrival_s = np.cumsum(rng.exponential(1.0, n) / rate) * 3500.0 / n
    return Trace(arrival_s, tau_in, tau_out, tau_in + tau_out > LONGEST)


def play(trace: Trace, to: np.ndarray, instances: np.ndarray) -> pa.Table:
    """Serve every query in order of arrival on the instances of its deployment, turn by turn."""
    n = len(to)
    per_in, per_out = SECONDS[to].T
    runtime_s = per_in * trace.tau_in / 8 + per_out * trace.tau_out
    energy_j = JOULES[to][:, 0] * trace.tau_in / 8 + JOULES[to][:, 1] * trace.tau_out
    free_s = [np.zeros(k) for k in instances]
    turn = np.zeros(len(NAMES), dtype=int)
    instance, start_s = np.full(n, -1), np.full(n, np.nan)
    for q in np.flatnonzero(~trace.refused):
        d = to[q]
        instance[q] = turn[d] % instances[d]
        start_s[q] = max(trace.arrival_s[q], free_s[d][instance[q]])
        free_s[d][instance[q]] = start_s[q] + runtime_s[q]
        turn[d] += 1
    gone = trace.refused

    def unless_refused(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, mask=gone)

    names = pa.DictionaryArray.from_arrays(
        pa.array(to.astype(np.int32), mask=gone), pa.array(NAMES, pa.string())
    )
    return pa.table(
        {
            "query": np.arange(n),
            "arrival_s": trace.arrival_s,
            "tau_in": trace.tau_in,
            "tau_out": trace.tau_out,
            "deployment": names,
            "instance": unless_refused(instance, pa.int32()),
            "start_s": unless_refused(start_s, pa.float64()),
            "first_token_s": unless_refused(start_s + 0.1 * runtime_s, pa.float64()),
            "end_s": unless_refused(start_s + runtime_s, pa.float64()),
            "energy_j": unless_refused(energy_j, pa.float64()),
            "accuracy_pct": unless_refused(ACCURACY[to], pa.float64()),
            "extrapolated": trace.tau_in > 2048,
            "refused": pa.array([REASON if r else None for r in gone], pa.string()),
        }
    )


def spread(values: np.ndarray) -> dict[str, float]:
    ranks = (50, 90, 95, 99)
    found = zip(ranks, np.percentile(values, ranks).tolist(), strict=True)
    return {"mean": float(values.mean()), **{f"p{rank}": value for rank, value in found}}


def row(policy: str, table: pa.Table, instances: np.ndarray, horizon_s: float) -> dict[str, Any]:
    served = table.filter(pa.array(~table["end_s"].is_null().to_numpy()))
    col = {name: served[name].to_numpy() for name in served.column_names if name != "deployment"}
    names = np.array(served["deployment"].to_pylist())
    busy_s, tokens = col["end_s"] - col["start_s"], col["tau_in"] + col["tau_out"]
    deployments = {}
    for d, name in enumerate(NAMES):
        here = names == name
        idle_j = IDLE_W * DEVICES[d] * (instances[d] * horizon_s - busy_s[here].sum())
        active_j = float(col["energy_j"][here].sum())
        deployments[name] = {
            "queries": int(here.sum()),
            "queries_pct": 100.0 * here.sum() / len(served),
            "energy_j": active_j + idle_j,
            "energy_active_j": active_j,
            "energy_idle_j": idle_j,
            "accuracy_pct": float(ACCURACY[d]) if here.any() else None,
            "instances": int(instances[d]),
            "devices_per_instance": int(DEVICES[d]),
            "utilisation": float(busy_s[here].sum() / (horizon_s * instances[d])),
            "mean_runtime_s": float(busy_s[here].mean()) if here.any() else None,
        }
    active_j = sum(d["energy_active_j"] for d in deployments.values())
    idle_j = sum(d["energy_idle_j"] for d in deployments.values())
    return {
        "policy": policy,
        "queries": len(table),
        "served": len(served),
        "refused": len(table) - len(served),
        "energy_j": active_j + idle_j,
        "energy_active_j": active_j,
        "energy_idle_j": idle_j,
        "energy_per_query_j": (active_j + idle_j) / len(served),
        "energy_per_output_token_j": (active_j + idle_j) / int(col["tau_out"].sum()),
        "accuracy_pct": float(np.average(col["accuracy_pct"], weights=tokens)),
        "horizon_s": horizon_s,
        "makespan_s": float(col["end_s"].max()),
        "utilisation": float(busy_s.sum() / (horizon_s * instances.sum())),
        "latency_s": spread(col["end_s"] - col["arrival_s"]),
        "wait_s": spread(col["start_s"] - col["arrival_s"]),
        "ttft_s": spread(col["first_token_s"] - col["arrival_s"]),
        "deployments": deployments,
    }


def choices(trace: Trace, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n = len(trace.tau_in)
    weights = np.array([0.05, 0.2, 0.75])
    optimal = np.zeros(n, dtype=int)
    served = np.flatnonzero(~trace.refused)
    optimal[served[trace.tau_out[served] < 60]] = 1
    optimal[served[np.argmin(trace.tau_out[served])]] = 2
    turns = np.repeat(np.arange(3), [1, 4, 15])
    return {
        "optimal": optimal,
        "round_robin": np.arange(n) % 3,
        "round_robin (weighted)": turns[np.arange(n) % 20],
        "random": rng.integers(0, 3, n),
        "random (weighted)": rng.choice(3, n, p=weights),
        **{f"only {name}": np.full(n, d) for d, name in enumerate(NAMES)},
    }


def instance_table(table: pa.Table, instances: np.ndarray, horizon_s: float) -> pa.Table:
    rows = []
    names = np.array(table["deployment"].to_pylist(), dtype=object)
    number = table["instance"].fill_null(-1).to_numpy()
    busy_s = np.nan_to_num(table["end_s"].to_numpy() - table["start_s"].to_numpy())
    energy_j = np.nan_to_num(table["energy_j"].to_numpy())
    for d, name in enumerate(NAMES):
        here = names == name
        size = int(instances[d])
        queries = np.bincount(number[here], minlength=size)
        busy = np.bincount(number[here], busy_s[here], minlength=size)
        active = np.bincount(number[here], energy_j[here], minlength=size)
        idle = IDLE_W * DEVICES[d] * (horizon_s - busy)
        for i in range(size):
            rows.append((name, i, queries[i], busy[i], horizon_s - busy[i], active[i], idle[i], DEVICES[d]))
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "deployment": pa.array(columns[0]).dictionary_encode(),
            "instance": columns[1],
            "hardware": pa.array([c.split("@")[1] for c in columns[0]]),
            "model": pa.array([c.split("@")[0] for c in columns[0]]),
            "devices": columns[7],
            "queries": columns[2],
            "busy_s": columns[3],
            "idle_s": columns[4],
            "utilisation": np.array(columns[3]) / horizon_s,
            "energy_active_j": columns[5],
            "energy_idle_j": columns[6],
            "energy_j": np.array(columns[5]) + np.array(columns[6]),
        }
    )


def about(rng: np.random.Generator) -> dict[str, Any]:
    """The parts of a summary that are words."""
    curves = {
        name: {
            "source": "wilkins2024.csv, Swing node, KV cache off",
            "curves": {target: {"form": "roofline"} for target in ("energy", "runtime")},
            "left_out_error": {
                "energy_mape_pct": float(rng.uniform(2, 9)),
                "runtime_mape_pct": float(rng.uniform(2, 6)),
            },
            "domain": {"tau_in": [8, 2048], "tau_out": [8, 4096]},
            "trials_sha256": "0f" * 32,
        }
        for name in NAMES
    }
    return {
        "schema_version": 1,
        "llmsim_version": "0.1.0",
        "policy_settings": {"zeta": 0.5, "min_share": 0.0, "normalise": "max"},
        "seed": 0,
        "workload": {
            "name": "azure_conv",
            "source": "Azure LLM inference trace 2023, conversation",
            "notes": ["Arrivals were in order."],
        },
        "refused_reasons": {},
        "energy_scope": "GPU boards, without the host",
        "energy_method": "simulated",
        "idle_power": {"a100": {"power_w": IDLE_W, "source": "NVML on an idle board", "model_loaded": False}},
        "certificate": {
            "objective": -1034.22,
            "lower_bound": -1034.22,
            "gap": 3.1e-13,
            "solver": "OR-Tools min-cost flow",
            "bounds": {name: [1, None] for name in NAMES},
            "constants": {"energy_divided_by_j": 61234.5, "accuracy_divided_by_pct_tokens": 264250.1},
            "scope": "It bounds the priced cost of the plan, not what queueing adds.",
        },
        "provenance": {
            "curves": curves,
            "hardware": {"a100": {"source": "NVIDIA A100 datasheet"}},
            "llmsim_version": "0.1.0",
            "git_revision": "e5eef1f",
            "config_sha256": "ab" * 32,
        },
        "absent": {},
        "warnings": ["8.3 % of the queries were refused: longer than every context."],
        "timing": {"wall_s": 3.2},
    }


def make_run(n: int = 600, seed: int = 7, instances: tuple[int, int, int] = (8, 32, 30)) -> Run:
    """A run of `n` queries with all its baselines."""
    rng = np.random.default_rng(seed)
    trace, sizes = make_trace(n, rng), np.array(instances)
    played = {label: play(trace, to, sizes) for label, to in choices(trace, rng).items()}
    horizon_s = max(float(np.nanmax(t["end_s"].to_numpy())) for t in played.values())
    rows = {label: row(label, table, sizes, horizon_s) for label, table in played.items()}
    for number, one in enumerate(rows.values()):
        one["saving_at_no_less_accuracy_pct"] = 7.5 * number
        one["regret"] = {"regret_relative": 0.01 * number} if number else None
    best = rows.pop("optimal")
    for label, other in rows.items():
        keeps = not label.startswith("only")
        other["keeps_bounds"] = keeps
        for part, key in (("active", "energy_active_j"), ("total", "energy_j")):
            saving = 100.0 * (1 - best[key] / other[key])
            other[f"saving_{part}_pct"] = saving if keeps else None
        if not keeps:
            other["absent"] = dict.fromkeys(("saving_active_pct", "saving_total_pct"), ONLY)
    refused = int(trace.refused.sum())
    summary = about(rng) | best | {"baselines": rows, "extrapolated": int((trace.tau_in > 2048).sum())}
    summary["refused_reasons"] = {REASON: refused}
    policy_queries = played.pop("optimal")
    return Run(summary, policy_queries, instance_table(policy_queries, sizes, horizon_s), played)


@pytest.fixture(scope="session")
def shared_run() -> Run:
    """Made once; tests that change it take a copy."""
    return make_run()


@pytest.fixture
def run(shared_run: Run) -> Run:
    """A run whose summary a test may change."""
    return Run(
        copy.deepcopy(shared_run.summary),
        shared_run.queries,
        shared_run.instances,
        dict(shared_run.baseline_queries),
    )


@pytest.fixture(scope="session")
def plots(shared_run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Plot]:
    """The plots of the made-up run, drawn once."""
    made = shared_run
    folder = tmp_path_factory.mktemp("plots")
    return draw(Drawing(made.summary, made.queries, made.baseline_queries), folder)
