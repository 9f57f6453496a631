"""The meters of a run that measures: opened where they can be read, and what they say of themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from llmsim.config import Config
from llmsim.measurement import METERS
from llmsim.measurement.contract import Meter

log = logging.getLogger(__name__)


def open_meters(config: Config, backend: Any = None) -> tuple[list[Meter], list[str]]:
    """The chosen meter where it can be read, or else none, with the reason.

    Args:
        backend: what will run; where it knows its GPUs, no other is read, and where it says that its work is
            `elsewhere`, none of this host's meters is.
    """
    if getattr(backend, "elsewhere", False):
        return [], [
            "Energy is absent: the work is done elsewhere, and the meters of this host do not see it."
        ]
    meter: Meter = METERS.build(config.meter)
    if hasattr(backend, "gpu_uuids") and hasattr(meter, "only"):
        meter.only(backend.gpu_uuids())
    reason = meter.unavailable()
    if reason is None:
        return [meter], []
    note = f"Energy is absent: meter={config.meter.get('name')}: {reason}."
    log.warning("%s", note)
    return [], [note]


def least_window_s(meter: Meter) -> float:
    """The shortest window of a meter, s; 0 where it takes any."""
    least: Callable[[], float] = getattr(meter, "least_window_s", float)
    return least()


def power_cap(meters: list[Meter]) -> str:
    """'none' where boards run at the limit they came with, else watts."""
    for meter in meters:
        for item in getattr(meter, "describe", list)():
            limit, usual = item.get("power_limit_w"), item.get("default_power_limit_w")
            if limit is not None and usual is not None and limit != usual:
                return f"{limit:g}"
    return "none"
