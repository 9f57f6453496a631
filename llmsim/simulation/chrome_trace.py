"""A run for Perfetto or chrome://tracing: a track an instance, with its batch and power as counters.

The format is Google's Trace Event Format (JSON object form); times are in microseconds.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from llmsim.errors import InputError
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.tape import Stretches
from llmsim.simulation.timeline import STATES

MICROSECONDS = 1e6
# A trace beyond this is too large for the viewers.
MAX_STRETCHES = 5_000_000


def write_trace(filled: Stretches, ledger: Ledger, path: Path) -> None:
    """Write the trace of a run; deployments are processes, instances threads.

    Args:
        filled: from `timeline.fill`.

    Raises:
        InputError: the run is too long for the viewers, or the file cannot be written.
    """
    if len(filled.start_s) > MAX_STRETCHES:
        raise InputError(
            f"A trace of {len(filled.start_s):,} stretches is more than the viewers can show "
            f"({MAX_STRETCHES:,}). Limit the workload: workload.limit=N."
        )
    try:
        with path.open("w", encoding="utf-8") as file:
            _write(filled, ledger, file)
    except OSError as error:
        raise InputError(f"{path}: the trace cannot be written ({error.strerror}).") from error


def _write(filled: Stretches, ledger: Ledger, file: TextIO) -> None:
    """Events one by one: a list of all of them would take gigabytes."""
    file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
    for index, item in enumerate(ledger.deployments):
        name = {"ph": "M", "name": "process_name", "pid": index, "args": {"name": item.name}}
        file.write(json.dumps(name) + ",\n")
    order = np.lexsort((filled.instance, filled.deployment, filled.start_s))
    rows = zip(
        filled.deployment[order].tolist(),
        filled.instance[order].tolist(),
        filled.activity[order].tolist(),
        (filled.start_s[order] * MICROSECONDS).tolist(),
        (filled.end_s[order] * MICROSECONDS).tolist(),
        filled.energy_j[order].tolist(),
        filled.batch[order].tolist(),
        strict=True,
    )
    separator = ""
    for row in rows:
        for event in _events(*row):
            file.write(separator + json.dumps(event))
            separator = ",\n"
    file.write("\n]}\n")


def _events(
    deployment: int,
    instance: int,
    activity: int,
    start_us: float,
    end_us: float,
    energy_j: float,
    batch: int,
) -> list[dict[str, Any]]:
    """One stretch, and the batch and power from its start on; none where it has no length."""
    if end_us <= start_us:
        return []
    known = math.isfinite(energy_j)
    stretch = {
        "ph": "X",
        "name": STATES[activity],
        "cat": "instance",
        "pid": deployment,
        "tid": instance,
        "ts": start_us,
        "dur": end_us - start_us,
        "args": {"batch": batch, "energy_j": energy_j if known else None},
    }
    counters = {"batch": float(batch)}
    if known:
        counters["power_w"] = energy_j / (end_us - start_us) * MICROSECONDS
    return [stretch] + [
        {
            "ph": "C",
            "name": f"{name} {instance}",
            "pid": deployment,
            "ts": start_us,
            "args": {name: value},
        }
        for name, value in counters.items()
    ]
