"""Names to plug-ins: built-in ones by table, others by entry point."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Registry:
    """The plug-ins of one kind. A plug-in is a dataclass; its fields are its parameters.

    Attributes:
        kind: the configuration group, such as ``policy``.
        entry_points: the entry-point group that other distributions use.
        built_in: name to ``module:Class``; imported on use, because a bare checkout has no entry points.
        elsewhere: names that another distribution brings, to the command that installs it.
    """

    kind: str
    entry_points: str
    built_in: Mapping[str, str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every known name, sorted."""
        return sorted({*self.built_in, *self._others()})

    def find(self, name: str) -> type[Any]:
        """The class registered under a name.

        Raises:
            InputError: no such plug-in (with the nearest name), or one that cannot be imported.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found: type[Any] = getattr(importlib.import_module(module), attribute)
            return found
        others = self._others()
        if name not in others and name in self.elsewhere:
            raise InputError(f"{self.kind}={name} is not installed. Install it: {self.elsewhere[name]}")
        if name not in others:
            raise InputError(
                f"{self.kind}={name}: no such {self.kind}. {did_you_mean(name, self.names(), self.kind)}"
            )
        try:
            loaded: type[Any] = others[name].load()
        except Exception as error:  # whatever a stranger's package raises when imported
            raise InputError(
                f"{self.kind}={name}: the plug-in {others[name].value} cannot be imported "
                f"({type(error).__name__}: {error}). Reinstall the package that provides it."
            ) from error
        return loaded

    def build(self, node: Mapping[str, Any] | str) -> Any:
        """An instance from a configuration node: ``name`` chooses the class, the rest are its parameters.

        Raises:
            InputError: unknown name, unknown parameter, or a value of the wrong type.
        """
        values = {"name": node} if isinstance(node, str) else dict(node)
        name = values.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"{self.kind}: 'name' is missing. Known: {', '.join(self.names())}.")
        return parse(self.find(name), values, self.kind)

    def _others(self) -> dict[str, importlib.metadata.EntryPoint]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.entry_points)}
