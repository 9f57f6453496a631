"""A kind of node: its devices, power and where the facts come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean
from llmsim.specs.checks import require_positive

KINDS = ("gpu", "cpu", "soc")

# Figures that are above zero wherever they are known.
POSITIVE = (
    "devices_per_node",
    "memory_gb",
    "peak_tflops",
    "bandwidth_gb_s",
    "tdp_w",
    "idle_power_w",
    "usd_per_hour",
)


@dataclass(frozen=True)
class Hardware:
    """A kind of node, one YAML in `conf/hardware`. Rates are dense peaks; powers are for one device.

    Attributes:
        name: the name in `conf/hardware` and in every table.
        title: the name people use.
        device: the accelerator (or CPU socket) as its vendor calls it.
        kind: gpu, cpu or soc.
        devices_per_node: devices in one node.
        memory_gb: memory of one device, decimal GB; None where it is the host's own.
        peak_tflops: dense peak in `peak_dtype`, TFLOP/s; None where it is not known (the host CPU).
        bandwidth_gb_s: memory bandwidth, decimal GB/s; None where it is not known.
        tdp_w: board (GPU), package (CPU) or whole-SoC power limit, W; None where it is not known.
        idle_power_w: power of one idle device, W; None where no source states one.
        idle_power_source: where that figure is from, or why there is none.
        idle_power_model_loaded: True when a model was loaded while idle power was read.
        headroom: how much quicker passes over prompts are amid decode steps than on end, where the power
            limit holds them back: `seconds`, `joules`, `budget_j` of `llmsim.curves.headroom.Headroom`, for
            one device; for curves whose trials do not tell. None: it was not measured.
        headroom_source: on what it was measured.
        energy_scope: what the measured joules of this system cover.
        host: the host, in words.
        trials_system: the `system` of this hardware's rows in the trials; None: the same as `name`.
        usd_per_hour, price_source: price of one device hour, on demand.
        models: what is chosen with this hardware where no model is named; empty: the run's own default. Its
            file chooses them by an override in its defaults list, which is where Hydra reads it.
        spec_source, spec_status: where the datasheet facts are from, and whether they were seen (verified,
            partly verified, derived, unverified, or absent).
    """

    name: str
    title: str
    device: str
    kind: str
    devices_per_node: int
    peak_tflops: float | None
    peak_dtype: str | None
    bandwidth_gb_s: float | None
    tdp_w: float | None
    energy_scope: str
    memory_gb: float | None = None
    idle_power_w: float | None = None
    idle_power_source: str | None = None
    idle_power_model_loaded: bool = False
    headroom: dict[str, float] | None = None
    headroom_source: str | None = None
    host: str = ""
    trials_system: str | None = None
    usd_per_hour: float | None = None
    price_source: str | None = None
    models: list[str] = field(default_factory=list)
    spec_source: str = ""
    spec_status: str = "unverified"

    @property
    def trials_name(self) -> str:
        """The `system` of its rows in the trials."""
        return self.trials_system or self.name

    @classmethod
    def from_config(cls, name: str, node: Mapping[str, Any]) -> Hardware:
        """The hardware described by a configuration node.

        Raises:
            InputError: an unknown key, a value of the wrong type, or a figure that no device can have.
        """
        where = f"hardware.{name}"
        hardware = parse(cls, {**node, "name": name}, where)
        if hardware.kind not in KINDS:
            raise InputError(f"{where}.kind: '{hardware.kind}'. {did_you_mean(hardware.kind, KINDS, 'kind')}")
        for key in POSITIVE:
            require_positive(getattr(hardware, key), f"{where}.{key}")
        if hardware.headroom is not None:
            _check_headroom(hardware.headroom, f"{where}.headroom")
        return hardware


def _check_headroom(headroom: Mapping[str, float], where: str) -> None:
    """Raises InputError unless it has its three figures, each within its range."""
    ranges = {"seconds": (0.0, 1.0), "joules": (0.0, math.inf), "budget_j": (0.0, math.inf)}
    if set(headroom) != set(ranges):
        raise InputError(f"{where}: expected {', '.join(ranges)}; got {', '.join(headroom) or 'none'}.")
    for key, (least, most) in ranges.items():
        value = headroom[key]
        if not least <= value <= most or (key != "budget_j" and value == 0) or math.isinf(value):
            above = "at least 0" if key == "budget_j" else "above 0"
            bound = " and at most 1" if key == "seconds" else ""
            raise InputError(f"{where}.{key}={value}: expected a finite number {above}{bound}.")
