"""All deployments of a run, and how the fleet is divided among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmsim.config import parse
from llmsim.curves.cost import PhaseCurve
from llmsim.curves.lending import with_headroom
from llmsim.curves.library import FittedCurve, NoCurve
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.deployment import Deployment
from llmsim.fleet.differences import MOST_INSTANCES, Differences
from llmsim.fleet.serving import Serving
from llmsim.fleet.topology import TopologySpec, build_graph, connect
from llmsim.specs.hardware import Hardware
from llmsim.specs.model import Model
from llmsim.specs.target import Target

Fit = Callable[[Hardware, Model, int | None], FittedCurve]

# Shares further apart than this are a slip of the keyboard, and their sums lose the smaller.
_LEAST_SHARE, _MOST_SHARE = 1e-9, 1e9
# Room for the rounding of a share times a device count that is a whole number on paper.
_ROUNDING = 1e-9
_CHUNKED = (
    "Chunked prefill: no trial measures a step that mixes prompts with decoding; its cost is modelled as the "
    "chunk, with its past, plus the decode step."
)


@dataclass(frozen=True)
class FleetSpec:
    """The size of the fleet, one YAML in `conf/fleet`.

    Attributes:
        name: the fleet's name.
        devices: devices of each chosen hardware; None when `instances` is set.
        devices_by_hardware: overrides `devices` for the hardware named.
        shares: gamma by model: weights, normalised over the deployments of one hardware.
        devices_per_instance: by model; otherwise as the trials were measured.
        instances: instances of every deployment, whatever the devices; None to divide the devices.
        horizon_s: seconds over which idle energy counts; None: until the last query of the run ends.
        serving: how instances take queries up, where `deployments` says nothing else.
        deployments: how some deployments differ, as in Differences.
        topology: as in TopologySpec; None: the network takes no time.
    """

    name: str
    devices: int | None = None
    devices_by_hardware: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    devices_per_instance: dict[str, int] = field(default_factory=dict)
    instances: int | None = None
    horizon_s: float | None = None
    serving: Serving = field(default_factory=Serving)
    deployments: dict[str, Any] = field(default_factory=dict)
    topology: dict[str, Any] | None = None

    @classmethod
    def from_config(cls, node: Mapping[str, Any]) -> FleetSpec:
        """The fleet described by a configuration node.

        Raises:
            InputError: unknown keys, wrong types, or values out of range.
        """
        own = {key: value for key, value in node.items() if key != "serving"}
        serving = Serving.from_config(node.get("serving") or {})
        spec = replace(parse(cls, own, "fleet"), serving=serving)
        counts = {
            "fleet.devices": spec.devices,
            "fleet.instances": spec.instances,
            **{f"fleet.devices_by_hardware.{key}": value for key, value in spec.devices_by_hardware.items()},
            **{
                f"fleet.devices_per_instance.{key}": value for key, value in spec.devices_per_instance.items()
            },
        }
        for where, count in counts.items():
            if count is not None and count < 1:
                raise InputError(f"{where}={count}: a fleet needs at least 1.")
        for model, share in spec.shares.items():
            if not _LEAST_SHARE <= share <= _MOST_SHARE:
                raise InputError(
                    f"fleet.shares.{model}={share}: a share is a positive weight, from {_LEAST_SHARE:g} to "
                    f"{_MOST_SHARE:g}."
                )
        if spec.horizon_s is not None and not (math.isfinite(spec.horizon_s) and spec.horizon_s > 0):
            raise InputError(
                f"fleet.horizon_s={spec.horizon_s}: expected a positive number of seconds, or null."
            )
        if spec.instances is not None and spec.instances > MOST_INSTANCES:
            raise InputError(f"fleet.instances={spec.instances}: expected at most {MOST_INSTANCES:,}.")
        if spec.instances is None and spec.devices is None and not spec.devices_by_hardware:
            raise InputError("fleet.devices is null: set it, or fleet.instances.")
        spec.differences()
        return spec

    def differences(self) -> Differences:
        """What `deployments` says; raises InputError where it cannot be."""
        return Differences.of(self.deployments, self.serving)

    def check_names(self, models: Sequence[str], hardware: Sequence[str]) -> None:
        """Refuse a setting for a model or hardware that does not exist.

        Raises:
            InputError: with the nearest name that does.
        """
        for key, given, known, what in (
            ("shares", self.shares, models, "model"),
            ("devices_per_instance", self.devices_per_instance, models, "model"),
            ("devices_by_hardware", self.devices_by_hardware, hardware, "hardware"),
        ):
            for name in given:
                if name not in known:
                    raise InputError(f"fleet.{key}.{name}: no such {what}. {did_you_mean(name, known, what)}")
        self.differences().check_names(models, hardware)


@dataclass(frozen=True)
class Fleet:
    """All deployments of a run.

    Attributes:
        deployments: what a policy chooses between, in the order of hardware, then models.
        absent: chosen pairs that could not be deployed, name to reason.
        notes: what was assumed, one sentence each.
        horizon_s: as in FleetSpec.
    """

    deployments: tuple[Deployment, ...]
    absent: Mapping[str, str]
    notes: tuple[str, ...]
    horizon_s: float | None

    @property
    def energy_scope(self) -> str:
        """What the joules of this fleet cover; scopes that differ are named by hardware."""
        scopes = {item.target.hardware.name: item.target.hardware.energy_scope for item in self.deployments}
        if len(set(scopes.values())) == 1:
            return next(iter(scopes.values()))
        return "; ".join(f"{name}: {scope}" for name, scope in scopes.items())


def build(
    spec: FleetSpec,
    hardware: Sequence[Hardware],
    models: Sequence[Model],
    fit: Fit,
) -> Fleet:
    """Every chosen pair that has a curve, with its part of the devices.

    Args:
        fit: gives the curve of a model on a hardware with a number of devices (None: as measured); raises
            NoCurve where there is none.

    Raises:
        InputError: no pair has a curve, or the fleet is too small to host one instance of a deployment.
    """
    notes: list[str] = []
    if spec.instances is not None and (spec.devices is not None or spec.devices_by_hardware):
        notes.append(
            f"fleet.instances={spec.instances} is set for every deployment: fleet.devices is not used."
        )
    fitted, absent = _fitted(spec, hardware, models, fit)
    weights = _weights(spec, fitted, notes)
    deployments = []
    for node in hardware:
        chosen = [model for model in models if (model.name, node.name) in fitted]
        curves = [(model, fitted[model.name, node.name]) for model in chosen]
        deployments += _deployed(spec, node, curves, weights)
    if any(item.serving.chunk_tokens is not None for item in deployments):
        notes.append(_CHUNKED)
    fleet = tuple(_normalised(deployments))
    if spec.topology is not None:
        topology = TopologySpec.from_config(spec.topology)
        fleet = connect(build_graph(topology, fleet), fleet, topology.bytes_per_token)
    return Fleet(fleet, absent, tuple(notes), spec.horizon_s)


def _fitted(
    spec: FleetSpec, hardware: Sequence[Hardware], models: Sequence[Model], fit: Fit
) -> tuple[dict[tuple[str, str], FittedCurve], dict[str, str]]:
    """The curve of every chosen pair that has one, and why the others have none."""
    absent: dict[str, str] = {}
    fitted: dict[tuple[str, str], FittedCurve] = {}
    for node in hardware:
        for model in models:
            try:
                fitted[model.name, node.name] = fit(node, model, spec.devices_per_instance.get(model.name))
            except NoCurve as reason:
                absent[f"{model.name}@{node.name}"] = str(reason)
    if not fitted:
        reasons = "\n".join(f"  {pair}: {reason}" for pair, reason in absent.items())
        raise InputError(f"None of the chosen pairs of model and hardware has curves:\n{reasons}")
    return fitted, absent


def _deployed(
    spec: FleetSpec,
    node: Hardware,
    curves: Sequence[tuple[Model, FittedCurve]],
    weights: Mapping[str, float],
) -> list[Deployment]:
    """The deployments on one hardware, in the order of its curves; shares are not normalised yet."""
    total = sum(weights[model.name] for model, _ in curves)
    parts = {model.name: weights[model.name] / total for model, _ in curves}
    sizes = {model.name: fitted.n_devices for model, fitted in curves}
    instances = _instances(spec, node, parts, sizes)
    differences = spec.differences()
    deployments = []
    for model, fitted in curves:
        serving = differences.serving(model.name, node.name)
        cells = fitted.provenance.get("generation_cells", 0)
        curve, lent = with_headroom(fitted.curve, node, fitted.n_devices, cells)
        deployments.append(
            Deployment(
                name=f"{model.name}@{node.name}",
                target=Target(model, node, fitted.n_devices, fitted.precision, fitted.kv_cache, fitted.batch),
                curve=curve,
                discipline=_discipline(serving, fitted),
                instances=instances[model.name],
                share=weights[model.name],
                provenance={**fitted.provenance, **lent},
                serving=serving,
            )
        )
    return deployments


def _discipline(serving: Serving, fitted: FittedCurve) -> str:
    """As set, or else what the curve is for."""
    if serving.discipline is not None:
        return serving.discipline
    return "continuous" if isinstance(fitted.curve, PhaseCurve) else "serial"


def _weights(
    spec: FleetSpec, fitted: Mapping[tuple[str, str], FittedCurve], notes: list[str]
) -> dict[str, float]:
    """The share of each deployed model, before normalising; all equal when any has none."""
    models = list(dict.fromkeys(model for model, _ in fitted))
    without = [model for model in models if model not in spec.shares]
    if not without:
        return {model: spec.shares[model] for model in models}
    if spec.shares or spec.instances is None:
        notes.append(f"fleet.shares has no {', '.join(without)}: all models share the fleet equally.")
    return dict.fromkeys(models, 1.0)


def _instances(
    spec: FleetSpec, hardware: Hardware, parts: Mapping[str, float], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Instances of each model on one hardware: its part of the devices, in whole instances.

    Args:
        parts: each model's share of the hardware's devices, summing to 1.
        sizes: devices of one instance of each model.
    """
    set_ = spec.differences().instances(parts, hardware.name)
    if spec.instances is not None or set(set_) == set(parts):
        return {**dict.fromkeys(parts, spec.instances or 1), **set_}
    devices = spec.devices_by_hardware.get(hardware.name, spec.devices)
    if devices is None:
        raise InputError(f"fleet.devices_by_hardware has no {hardware.name}, and fleet.devices is null.")
    devices -= sum(count * sizes[name] for name, count in set_.items())
    total = sum(part for name, part in parts.items() if name not in set_)
    parts = {name: part / total for name, part in parts.items() if name not in set_}
    found = {name: math.floor(devices * part / sizes[name] + _ROUNDING) for name, part in parts.items()}
    small = [name for name, instances in found.items() if instances < 1]
    if small:
        name = small[0]
        listed = hardware.name in spec.devices_by_hardware
        key = f"fleet.devices_by_hardware.{hardware.name}" if listed else "fleet.devices"
        left = "remaining " if set_ else ""
        needed = max(math.ceil(sizes[name] / part - _ROUNDING) for name, part in parts.items())
        raise InputError(
            f"The fleet is too small: {name}'s share of {devices} {left}{hardware.name} devices is "
            f"{devices * parts[name]:.3g}, and one instance needs {sizes[name]}. Set {key} to at "
            f"least {needed}, give {name} a larger share in fleet.shares, or choose fewer models."
        )
    if max(found.values()) > MOST_INSTANCES:
        raise InputError(
            f"{devices} {hardware.name} devices make more than {MOST_INSTANCES:,} instances of a model: "
            "set fleet.devices to fewer."
        )
    return {**found, **set_}


def _normalised(deployments: Sequence[Deployment]) -> list[Deployment]:
    """The same, shares summing to 1 over the whole fleet."""
    total = sum(item.share for item in deployments)
    return [replace(item, share=item.share / total) for item in deployments]
