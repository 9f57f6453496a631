"""Intervals of all figures over replications, and of the differences between the policy and each baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmsim.report.sheet import Row
from llmsim.simulation.replications import Interval, interval, paired

LEVEL = 0.95
# Numbers of a row that are settings, words' counts or proofs, and no figures of a replication.
_NO_FIGURES = (
    "baselines", "policy_settings", "absent", "refused_reasons", "certificate", "replications", "zeta",
)  # fmt: skip


def replicated(found: Sequence[Row]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the policy's row, and each baseline's, gets for its replications.

    Args:
        found: what `summary.compare` gave, one a replication, at least 2.

    Returns:
        `figures` of the policy; `figures` and `differences` (the policy minus the baseline) by baseline. Each
        maps a figure's dotted key to `mean` and `half_width`; one that some replication lacks is left out.
    """
    own = _columns(found)
    baselines = {}
    for label in found[0].get("baselines", {}):
        theirs = _columns([one["baselines"][label] for one in found])
        differences = {key: paired(own[key], theirs[key], LEVEL) for key in theirs if key in own}
        baselines[label] = {"figures": _intervals(theirs), "differences": _told(differences)}
    return {"figures": _intervals(own)}, baselines


def _columns(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Each figure of the rows, by dotted key, where all of them have it."""
    numbers = [dict(_numbers(row)) for row in rows]
    return {key: [one[key] for one in numbers] for key in numbers[0] if all(key in one for one in numbers)}


def _numbers(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in node.items():
        if key in _NO_FIGURES:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{key}", float(value)


def _intervals(columns: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return _told({key: interval(values, LEVEL) for key, values in columns.items()})


def _told(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {key: {"mean": one.mean, "half_width": one.half_width} for key, one in intervals.items()}
