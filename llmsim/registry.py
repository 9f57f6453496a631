"""Names to plug-ins: built-in ones by table, others by entry point."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean
from llmsim.plugin_conf import said

# Changes when a contract of `llmsim.api` changes in a way that breaks a plug-in. A plug-in may state the one
# that it was written for as its class's `api_version`.
API_VERSION = 1


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
        return sorted({*self.built_in, *(point.name for point in self._others())})

    def find(self, name: str) -> type[Any]:
        """The class registered under a name.

        Raises:
            InputError: no such plug-in (with the nearest name), or one that cannot be used.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found: type[Any] = getattr(importlib.import_module(module), attribute)
            return found
        points = [point for point in self._others() if point.name == name]
        if not points and name in self.elsewhere:
            raise InputError(f"{self.kind}={name} is not installed. Install it: {self.elsewhere[name]}")
        if not points:
            raise InputError(
                f"{self.kind}={name}: no such {self.kind}. {did_you_mean(name, self.names(), self.kind)}"
            )
        if len(points) > 1:
            raise InputError(f"{self.kind}={name}: {_contended(points)}")
        return self._load(points[0])

    def problems(self) -> dict[str, str]:
        """What is wrong with other packages' plug-ins of this kind, by name, and what to do about it.

        Nothing else is touched by them; each is loaded to find out.
        """
        found: dict[str, str] = {}
        points = self._others()
        for point in points:
            twins = [other for other in points if other.name == point.name]
            if point.name in self.built_in:
                found[point.name] = (
                    f"{said(point)} brings a {self.kind} of a name that llmsim has itself; llmsim's is used. "
                    "The package must choose another name."
                )
            elif len(twins) > 1:
                found[point.name] = _contended(twins)
            else:
                try:
                    self._load(point)
                except InputError as error:
                    found[point.name] = str(error)
        return found

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

    def _load(self, point: importlib.metadata.EntryPoint) -> type[Any]:
        """Import a plug-in; raises InputError, naming its package, for one that cannot be used."""
        try:
            loaded = point.load()
        except Exception as error:  # whatever a stranger's package raises when imported
            raise InputError(
                f"{self.kind}={point.name}: the plug-in {point.value} of {said(point)} cannot be imported "
                f"({type(error).__name__}: {error}{_raised_at(error)}). Reinstall that package, or tell its "
                "authors."
            ) from error
        if not (isinstance(loaded, type) and dataclasses.is_dataclass(loaded)):
            raise InputError(
                f"{self.kind}={point.name}: {point.value} of {said(point)} is not a dataclass. A plug-in is "
                "a dataclass whose fields are its parameters (docs/writing-a-policy.md)."
            )
        version = getattr(loaded, "api_version", API_VERSION)
        if version != API_VERSION:
            raise InputError(
                f"{self.kind}={point.name}: {said(point)} was written for version {version} of llmsim.api; "
                f"this llmsim has {API_VERSION}. Install a release of the package made for it."
            )
        return loaded

    def _others(self) -> list[importlib.metadata.EntryPoint]:
        """Entry points of other packages, by name."""
        return sorted(importlib.metadata.entry_points(group=self.entry_points))


def _raised_at(error: Exception) -> str:
    """The file and line that an import failed at, for who writes the plug-in; empty where unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return f"; {own[-1].filename}, line {own[-1].lineno}" if own else ""


def _contended(points: list[importlib.metadata.EntryPoint]) -> str:
    """What to say of one name that several packages bring."""
    packages = " and ".join(sorted(said(point) for point in points))
    return f"{packages} bring plug-ins of this name. Uninstall all but one."
