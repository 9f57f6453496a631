"""Trials of a journal as rows of the table of trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

OUTCOMES = {"completed": "completed", "ended_early": "ended_early"}


def row(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """A trial of a journal as a row in the columns of `llmsim.trials.schema`.

    A prefill's `prefill_s` and a decode's `decode_step_s` are its own; a decode's `runtime_s` and joules are
    those of its steps alone; a generation has both where they were told apart. A marked trial's quality is
    its mark, and its experiment ends in it: it is in no fit. None for a trial that did not end (out of
    memory): it has no seconds.
    """
    if entry["outcome"] not in OUTCOMES:
        return None
    cell, subject, seconds = entry["cell"], entry["subject"], entry["runtime_s"]
    prefill_s, decode_step_s = _phases(entry)
    readings = entry["readings"]
    mark = entry.get("mark")
    estimated = any(reading["method"] == "estimated" for reading in readings)
    return {
        "system": subject["system"],
        "model": subject["model"],
        "n_devices": subject["n_devices"],
        "precision": subject["precision"],
        "power_cap": subject["power_cap"],
        "kv_cache": subject["kv_cache"],
        "batch": cell["batch"],
        "tau_in": cell["tau_in"],
        "tau_out": cell["tau_out"],
        "tau_out_generated": float(entry["tokens"]),
        "outcome": OUTCOMES[entry["outcome"]],
        "quality": mark or "ok",
        "warmup": False,
        "method": "estimated" if estimated else "measured",
        "scope": "+".join(sorted({reading["scope"] for reading in readings})) or "none",
        "experiment": cell["experiment"] if mark is None else f"{cell['experiment']}_{mark}",
        "repeat": entry["repeat"],
        "prompt": "random",
        "runtime_s": seconds,
        "energy_j": math.nan if entry["energy_j"] is None else entry["energy_j"],
        "cpu_energy_j": math.nan,
        "prefill_s": prefill_s,
        "decode_step_s": decode_step_s,
        "source": subject["source"],
    }


def _phases(entry: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds of the pass over the prompts, and of a step; NaN for what the trial does not tell."""
    cell, seconds = entry["cell"], entry["runtime_s"]
    steps = cell["tau_out"] - 1
    if cell["experiment"] == "prefill":
        return seconds, math.nan
    if cell["experiment"] == "decode":
        return math.nan, seconds / steps
    prefill_s = entry.get("prefill_s")
    if prefill_s is None:
        return math.nan, math.nan
    return prefill_s, (seconds - prefill_s) / steps if steps else math.nan


def rows(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all completed trials, in order."""
    found = (row(entry) for entry in entries if entry.get("kind") == "trial")
    return [item for item in found if item is not None]
