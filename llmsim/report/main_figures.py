"""The main figures of a run, by the names that they have in tables of runs; units are in the names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Columns of a sweep's table to where the figure stands in summary.json; the unit is in the name.
FIGURES: Mapping[str, tuple[str, ...]] = {
    "energy_j": ("energy_j",),
    "energy_active_j": ("energy_active_j",),
    "energy_idle_j": ("energy_idle_j",),
    "energy_active_per_query_j": ("energy_active_per_query_j",),
    "energy_per_query_j": ("energy_per_query_j",),
    "accuracy_pct": ("accuracy_pct",),
    "latency_mean_s": ("latency_s", "mean"),
    "latency_p50_s": ("latency_s", "p50"),
    "latency_p99_s": ("latency_s", "p99"),
    "ttft_p99_s": ("ttft_s", "p99"),
    "wait_p99_s": ("wait_s", "p99"),
    "makespan_s": ("makespan_s",),
    "utilisation": ("utilisation",),
    "served": ("served",),
    "refused": ("refused",),
}


def figures_of(summary: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The main figures in a summary; none of a task that has no summary."""
    found: dict[str, float | None] = {}
    for name, path in FIGURES.items() if summary else ():
        value: Any = summary
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = value
    return found
