"""Power of a device that has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from llmsim.measurement.contract import Meter
from llmsim.measurement.journal import Journal


def measure_idle(
    meters: Sequence[Meter], journal: Journal, state: str, rest_s: float = 1.5, window_s: float = 3.0
) -> dict[str, Any]:
    """Idle power, kept in the journal.

    Args:
        state: what the device holds meanwhile, such as ``bare`` or ``model_loaded``.
        rest_s: time for clocks and power to fall before the window opens.

    Returns:
        The entry: `power_w` by source, and their sum, which is None where a source has no figure.
    """
    time.sleep(rest_s)
    for meter in meters:
        meter.start()
    time.sleep(window_s)
    readings = [reading for meter in meters for reading in meter.stop()]
    powers = {reading.source: reading.power_w for reading in readings}
    known = [power for power in powers.values() if power is not None]
    entry = {
        "kind": "idle",
        "state": state,
        "power_w": powers,
        "sum_w": sum(known) if known and len(known) == len(powers) else None,
        "window_s": window_s,
        "conditions": {reading.source: dict(reading.conditions) for reading in readings},
        "ended_unix_s": round(time.time(), 3),
    }
    journal.append(entry)
    return entry
