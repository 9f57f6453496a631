"""The content of `fidelity.json` that follows from the rows of all seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import llmsim
from llmsim.simulation.replications import interval
from llmsim.studies import ranking
from llmsim.studies.fidelity import numbers
from llmsim.studies.ranking import LEVEL

SCHEMA_VERSION = 1
Rows = Mapping[str, Mapping[str, Any]]
RANKED = "energy_active_j"


@dataclass(frozen=True)
class Settings:
    """What a comparison is told besides the runs.

    Attributes:
        energy_interval_pct: half-width of one measured energy, per cent; None: not known.
        energy_interval_source: how it is known.
        targets: the largest gap in any row of any seed, per cent, by the figure's dotted key.
        seeds: of the runs; empty: the configuration's.
    """

    energy_interval_pct: float | None = None
    energy_interval_source: str | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()


def summarise(found: Sequence[Rows], every: Sequence[int], settings: Settings) -> dict[str, Any]:
    """Figures of the first seed; the ranking, the targets and intervals over all seeds.

    Args:
        found: of each seed, the rows by label, from `studies.fidelity.held`.
        every: the seeds.
    """
    first = found[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": every[0],
        "llmsim_version": llmsim.__version__,
        "rows": {label: dict(row) for label, row in first.items()},
        "ranking": _ranking(found, settings),
        "targets": _targets(found, every, settings.targets),
        "replications": _replications(found, every),
    }


def _ranking(found: Sequence[Rows], settings: Settings) -> dict[str, Any]:
    sides = {
        side: {
            label: [rows[label][side][RANKED] for rows in found]
            for label in found[0]
            if all(
                rows[label][way][RANKED] is not None for rows in found for way in ("measured", "simulated")
            )
        }
        for side in ("measured", "simulated")
    }
    pairs = ranking.pairs(sides["measured"], sides["simulated"], settings.energy_interval_pct)
    source = settings.energy_interval_source
    if len(found) > 1 and settings.energy_interval_pct is None:
        source = f"paired differences over {len(found)} seeds, {LEVEL:.0%}"
    return {
        "figure": RANKED,
        "interval_pct": settings.energy_interval_pct,
        "interval_source": source,
        "order": {side: sorted(rows, key=lambda label: fmean(rows[label])) for side, rows in sides.items()},
        "pairs": [pair.record() for pair in pairs],
        "alike": ranking.alike(pairs),
    }


def _targets(found: Sequence[Rows], every: Sequence[int], limits: Mapping[str, float]) -> dict[str, Any]:
    """The largest gap of each figure that has a target, and whether it is within; a lacking gap is not."""
    told = {}
    for key, limit in limits.items():
        gaps = {
            (label, seed): row["gap_pct"][key]
            for seed, rows in zip(every, found, strict=True)
            for label, row in rows.items()
        }
        sizes = {place: math.inf if gap is None else abs(gap) for place, gap in gaps.items()}
        worst = max(sizes, key=sizes.__getitem__)
        told[key] = {
            "limit_pct": limit,
            "worst_pct": gaps[worst],
            "worst_row": worst[0],
            "worst_seed": worst[1],
            "kept": gaps[worst] is not None and sizes[worst] <= limit,
        }
    return told


def _replications(found: Sequence[Rows], every: Sequence[int]) -> dict[str, Any] | None:
    """Means and half-widths of figures and gaps over seeds; a figure that some seed lacks is left out."""
    if len(found) < 2:
        return None
    told = {}
    for label in found[0]:
        flat = [
            dict(numbers({side: rows[label][side] for side in ("measured", "simulated", "gap_pct")}))
            for rows in found
        ]
        told[label] = {
            key: {"mean": one.mean, "half_width": one.half_width}
            for key in flat[0]
            if None not in (values := [figures[key] for figures in flat])
            for one in (interval([value for value in values if value is not None], LEVEL),)
        }
    return {"count": len(found), "level": LEVEL, "seeds": list(every), "rows": told}


def broken(summary: Mapping[str, Any]) -> list[str]:
    """What of a comparison is not as it is held to be, a sentence each."""
    told = [
        f"{key}: the gap of {target['worst_row']} with seed {target['worst_seed']} "
        + (
            "is not known"
            if target["worst_pct"] is None
            else f"is {target['worst_pct']:+.2f} %".replace("-", "−")
        )
        + f", and is held to {target['limit_pct']:g} %"
        for key, target in summary["targets"].items()
        if not target["kept"]
    ]
    told += [
        f"{pair['first']} and {pair['second']} rank otherwise than measured"
        for pair in summary["ranking"]["pairs"]
        if pair["exceeds"] and not pair["alike"]
    ]
    return told
