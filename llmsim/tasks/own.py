"""Which backend and which meter a deployment has: its own, or those of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsim.arguments import groups
from llmsim.backends import BACKENDS
from llmsim.backends.contract import SizingBackend
from llmsim.backends.recorded import RecordedWork
from llmsim.config import Config
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.deployment import Deployment
from llmsim.measurement import METERS

GB = 1e9
Node = dict[str, Any]


@dataclass(frozen=True)
class Own:
    """What runs one deployment, and what counts its joules.

    Attributes:
        backend: runs it.
        meter: the meter's node of the configuration.
        device: the name under which the backend's device is locked.
    """

    backend: Any
    meter: Node

    @property
    def device(self) -> str:
        """The backend's word for its device, or its class's name."""
        return str(getattr(self.backend, "device", self.backend.__class__.__name__))

    @property
    def gpu_uuids(self) -> Sequence[str]:
        """Of the GPUs that the backend works on, where it says so."""
        return tuple(self.backend.gpu_uuids()) if hasattr(self.backend, "gpu_uuids") else ()


def own_of(config: Config, backend: Any, deployments: Sequence[Deployment]) -> list[Own]:
    """The backend and the meter of each deployment.

    Args:
        backend: of the rest, built.

    Raises:
        InputError: an entry of what does not exist, a backend or a setting that is not known, backends that
            measure beside one that does not, two meters for one device, two names for one GPU, or several
            deployments for a backend that serves one.
    """
    check_names(config)
    built = {_key(config.backend): backend}
    found = []
    for item in deployments:
        model, hardware = item.target.model.name, item.target.hardware.name
        node = _node(config.backend, config.backends, model, hardware)
        if _key(node) not in built:
            built[_key(node)] = _built(node, item.name)
        own = Own(built[_key(node)], _node(config.meter, config.meters, model, hardware))
        if own.backend.method != backend.method:
            raise InputError(
                f"{item.name}: backend={node['name']} is {own.backend.method}, and backend="
                f"{config.backend['name']} of the rest is {backend.method}: one run has figures of one kind. "
                "Choose a measuring backend for all, or none."
            )
        found.append(own)
    names = [item.name for item in deployments]
    _one_meter_a_device(found, names)
    _one_deployment_each(found, names)
    _one_name_a_gpu(found, names)
    return found


def require_together(owns: Sequence[Own], deployments: Sequence[Deployment], policy: str) -> None:
    """Refuse models that an online policy needs in memory at once, where a device does not hold them.

    Devices whose backends do not say are passed over, and so are those with one model, which says so itself.

    Raises:
        InputError: with what each takes, what the device has, and what to do.
    """
    for device in dict.fromkeys(own.device for own in owns):
        here = [(own, item) for own, item in zip(owns, deployments, strict=True) if own.device == device]
        if len(here) < 2 or not all(isinstance(own.backend, SizingBackend) for own, _ in here):
            continue
        has = here[0][0].backend.memory_bytes()
        sizes = {item.name: own.backend.resident_bytes(item) for own, item in here}
        needed = sum(sum(parts.values()) for parts in sizes.values())
        if has is not None and needed > has:
            each = "; ".join(f"{name}: {_parts(parts)}" for name, parts in sizes.items())
            raise InputError(
                f"{policy}: it chooses at each arrival, so that all models must be in memory at once, and "
                f"they do not fit {device}: {needed / GB:.1f} GB are needed, {has / GB:.1f} GB are free. "
                f"{each}. Give them smaller caches (backends.<model>.cache_tokens), choose fewer models, or "
                "a policy that plans beforehand, such as optimal, which needs one at a time."
            )


def _parts(parts: Mapping[str, int]) -> str:
    """Sizes in GB with what they are of; those of nothing are left out."""
    return " + ".join(f"{size / GB:.1f} GB {what}" for what, size in parts.items() if size)


def check_names(config: Config) -> None:
    """Raises InputError, with the nearest name, for an entry of what does not exist, or that is no node."""
    known = groups()
    models, hardware = [*known["model"], *config.model], [*known["hardware"], *config.hardware]
    single = sorted({*models, *hardware})
    for group, entries in (("backends", config.backends), ("meters", config.meters)):
        for name, value in entries.items():
            pairs = [f"{model}@{node}" for node in hardware for model in models]
            if name not in single and name not in pairs:
                near = did_you_mean(name, pairs if "@" in name else single, "name")
                raise InputError(f"{group}.{name}: no such model, hardware or model@hardware. {near}")
            if not isinstance(value, str | Mapping):
                raise InputError(f"{group}.{name}={value}: expected a name, or settings.")
            registry = BACKENDS if group == "backends" else METERS
            named = value if isinstance(value, str) else value.get("name")
            played = group == "backends" and config.backend.get("name") == "recorded"  # it needs no other
            if named is not None and named not in registry.names() and not played:
                try:
                    registry.find(str(named))  # says what to install, where that is known
                except InputError as error:
                    raise InputError(f"{group}.{name}: {error}") from error


def _node(rest: Mapping[str, Any], entries: Mapping[str, Any], model: str, hardware: str) -> Node:
    """The rest's node, changed by the entries for this deployment; another name drops what was set before."""
    node = dict(rest)
    for name in (hardware, model, f"{model}@{hardware}"):
        if name in entries:
            value = entries[name]
            own = {"name": value} if isinstance(value, str) else dict(value)
            node = own if own.get("name", node.get("name")) != node.get("name") else {**node, **own}
    return node


def _built(node: Node, deployment: str) -> Any:
    """A deployment's own backend; raises InputError, naming the deployment, where it cannot be."""
    try:
        backend = BACKENDS.build(node)
    except InputError as error:
        raise InputError(f"backends, for {deployment}: {error}") from error
    if isinstance(backend, RecordedWork):
        raise InputError(
            f"backends, for {deployment}: backend=recorded plays whole runs; choose it for all deployments."
        )
    return backend


def _one_meter_a_device(found: Sequence[Own], names: Sequence[str]) -> None:
    """Windows are a device's: two meters of one device would count its joules twice."""
    first: dict[str, tuple[Own, str]] = {}
    for own, name in zip(found, names, strict=True):
        before, other = first.setdefault(own.device, (own, name))
        if before.meter != own.meter:
            raise InputError(
                f"meters: {other} and {name} run on one device ({own.device}) and have different meters, "
                f"{before.meter.get('name')} and {own.meter.get('name')}. Give them the same."
            )


def _one_deployment_each(found: Sequence[Own], names: Sequence[str]) -> None:
    """Refuse several deployments on a backend that says why it serves one."""
    for own in found:
        theirs = [name for other, name in zip(found, names, strict=True) if other.backend is own.backend]
        why = getattr(own.backend, "serves_one", None)
        if why is not None and len(theirs) > 1:
            raise InputError(
                f"{', '.join(theirs)}: {why} Choose one model= and hardware=, or give each settings of its "
                f"own, such as backends.{theirs[0].partition('@')[0]}.<setting>=."
            )


def _one_name_a_gpu(found: Sequence[Own], names: Sequence[str]) -> None:
    """Windows are a device's: under two names one GPU's joules would be counted in the windows of both."""
    first: dict[str, tuple[Own, str]] = {}
    for own, name in zip(found, names, strict=True):
        for uuid in own.gpu_uuids:
            before, other = first.setdefault(uuid, (own, name))
            if before.device != own.device:
                raise InputError(
                    f"backends: the GPU {uuid} has two names, {before.device}, {own.device}, of {other} "
                    f"and of {name}: its joules would be counted twice. Give both the same device."
                )


def _key(node: Mapping[str, Any]) -> str:
    """Equal for equal settings, so that deployments with the same ones share a backend."""
    return json.dumps(node, sort_keys=True, default=str)
