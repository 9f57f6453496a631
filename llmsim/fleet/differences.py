"""How some deployments of a fleet differ from the rest: the `fleet.deployments` part of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean
from llmsim.fleet.serving import Serving

# More instances of one deployment than any data centre has; each takes memory in the simulator.
MOST_INSTANCES = 10_000_000


@dataclass(frozen=True)
class Difference:
    """One entry.

    Attributes:
        serving: settings that replace those of `fleet.serving`.
        instances: so many, whatever the share; the rest of the devices are divided among the others.
    """

    serving: dict[str, Any] = field(default_factory=dict)
    instances: int | None = None


@dataclass(frozen=True)
class Differences:
    """Entries by name of a hardware, a model, or a deployment (`model@hardware`); the later ones win.

    Attributes:
        entries: by name.
        default: serving where no entry says anything else.
    """

    entries: Mapping[str, Difference]
    default: Serving

    @classmethod
    def of(cls, node: Mapping[str, Any], default: Serving) -> Differences:
        """The entries of a configuration node.

        Raises:
            InputError: unknown keys, wrong types, or values out of range, naming the entry.
        """
        entries = {}
        for name, value in node.items():
            where = f"fleet.deployments.{name}"
            if not isinstance(value, Mapping):
                raise InputError(f"{where}={value}: expected settings, such as serving or instances.")
            entries[name] = parse(Difference, value, where)
            count = entries[name].instances
            if count is not None and not 1 <= count <= MOST_INSTANCES:
                raise InputError(f"{where}.instances={count}: at least 1 and at most {MOST_INSTANCES:,}.")
            _changed(default, entries[name], name)
        return cls(entries, default)

    def check_names(self, models: Sequence[str], hardware: Sequence[str]) -> None:
        """Raises InputError, with the nearest name, for an entry of what does not exist."""
        known = [*models, *hardware, *(f"{model}@{node}" for node in hardware for model in models)]
        for name in self.entries:
            if name not in known:
                near = did_you_mean(name, known if "@" in name else [*models, *hardware], "name")
                raise InputError(
                    f"fleet.deployments.{name}: no such model, hardware or model@hardware. {near}"
                )

    def serving(self, model: str, hardware: str) -> Serving:
        """How the instances of one deployment take queries up."""
        serving = self.default
        for name in self._names(model, hardware):
            serving = _changed(serving, self.entries[name], name)
        return serving

    def instances(self, models: Iterable[str], hardware: str) -> dict[str, int]:
        """Instances of the models on one hardware for which an entry sets them."""
        found = {}
        for model in models:
            for name in self._names(model, hardware):
                count = self.entries[name].instances
                if count is not None:
                    found[model] = count
        return found

    def _names(self, model: str, hardware: str) -> list[str]:
        return [name for name in (hardware, model, f"{model}@{hardware}") if name in self.entries]


def _changed(serving: Serving, entry: Difference, name: str) -> Serving:
    return Serving.from_config({**asdict(serving), **entry.serving}, f"fleet.deployments.{name}.serving")
