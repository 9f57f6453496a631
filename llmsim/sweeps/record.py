"""What one run of a sweep came to: `run.json` in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FILE = "run.json"
DONE, FAILED, LOST = "done", "failed", "lost"

# Words that a sweep has unless others are given; they say nothing of a run.
ADDED = ("baselines=[]", "report=figures")

Value = str | int | float | bool | None

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


@dataclass(frozen=True)
class Record:
    """One run of a sweep.

    Attributes:
        run: its number, which is its folder's name.
        overrides: the words that set it apart, key to value.
        status: `done`, `failed` (reason says why), or `lost` (its worker ended before it did).
        reason: why it failed, as a message.
        objective: what the sweep minimises; None where there is none.
        figures: those of FIGURES that the run has.
        seconds: wall time of the job.
        config_sha256: of the run's configuration; a run that is done is not run again while it is the same.
    """

    run: int
    overrides: Mapping[str, Value]
    status: str
    reason: str = ""
    objective: float | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    config_sha256: str = ""

    def write(self, folder: Path) -> None:
        """Write `run.json`; it appears whole or not at all."""
        partial = folder / f"{FILE}.partial"
        partial.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record in a run's folder; None where there is none that can be read."""
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(**{item.name: data[item.name] for item in fields(cls) if item.name in data})
        except (OSError, ValueError, TypeError, AttributeError):
            return None


def figures_of(summary: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The main figures in a summary; none of a task that has no summary."""
    found: dict[str, float | None] = {}
    for name, path in FIGURES.items() if summary else ():
        value: Any = summary
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        found[name] = value
    return found


def overrides_of(words: Sequence[str]) -> dict[str, Value]:
    """Words as keys and values; a value that reads as a number is one.

    >>> overrides_of(["policy=optimal", "++policy.zeta=0.5", "seed=3"])
    {'policy': 'optimal', 'policy.zeta': 0.5, 'seed': 3}
    """
    pairs = (word.partition("=")[::2] for word in words if word not in ADDED)
    return {key.lstrip("+~"): _typed(value) for key, value in pairs}


def finite(value: float) -> float | None:
    """The number, or None for one that is not finite."""
    return value if math.isfinite(value) else None


def _typed(text: str) -> Value:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text
