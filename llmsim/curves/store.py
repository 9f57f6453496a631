"""Fitted curves as readable YAML: written once, read back to the last bit."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.curves.domain import Domain
from llmsim.curves.fitted import Fitted
from llmsim.curves.forms import build
from llmsim.curves.headroom import Headroom
from llmsim.curves.joules import JoulesApart, JoulesTogether, PhaseJoules
from llmsim.curves.library import FittedCurve
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.query import FittedQueryCurve
from llmsim.errors import InputError

VERSION = 2  # of the file's layout
HEAD = (
    "# Fitted curves of one target; parameters are in the order of the form. Written by llmsim, read by it.\n"
)


def save(fitted: FittedCurve, path: Path) -> None:
    """Write a fitted curve as YAML; the file appears whole or not at all."""
    import yaml  # type: ignore[import-untyped]

    text = HEAD + yaml.dump(as_dict(fitted), Dumper=_dumper(), sort_keys=False, width=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def load(path: Path) -> FittedCurve:
    """The fitted curve in a file that `save` wrote.

    Raises:
        InputError: the file is of another version, or not a curve.
    """
    import yaml

    try:
        data = yaml.load(
            path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        if data["version"] != VERSION:
            raise InputError(
                f"{path}: a curve file of version {data['version']}; this llmsim reads {VERSION}."
            )
        return from_dict(data)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a curve file of llmsim ({error}).") from error


def as_dict(fitted: FittedCurve) -> dict[str, Any]:
    """A fitted curve as plain data."""
    curve = fitted.curve
    return {
        "version": VERSION,
        "kind": "phase" if isinstance(curve, FittedPhaseCurve) else "query",
        "n_devices": fitted.n_devices,
        "kv_cache": fitted.kv_cache,
        "batch": fitted.batch,
        "precision": fitted.precision,
        "parts": {name: _fitted_as_dict(part) for name, part in curve.parts().items()},
        "domains": {name: _domain_as_dict(domain) for name, domain in _domains(curve).items()},
        "headroom": _headroom_as_dict(curve),
        "provenance": fitted.provenance,
    }


def from_dict(data: dict[str, Any]) -> FittedCurve:
    """The fitted curve in plain data that `as_dict` made."""
    domains = {name: _domain_from_dict(domain) for name, domain in data["domains"].items()}
    parts = {name: _fitted_from_dict(part) for name, part in data["parts"].items()}
    curve: FittedQueryCurve | FittedPhaseCurve
    if data["kind"] == "phase":
        energy: PhaseJoules | None = None
        if "energy" in parts:
            energy = JoulesTogether(parts["energy"])
        elif "decode_energy" in parts:
            energy = JoulesApart(parts["prefill_energy"], parts["decode_energy"])
        headroom = data.get("headroom")
        curve = FittedPhaseCurve(
            parts["prefill"],
            parts["decode"],
            energy,
            **domains,
            headroom=None if headroom is None else Headroom(**headroom),
        )
    else:
        curve = FittedQueryCurve(parts.get("runtime"), parts.get("energy"), **domains)
    return FittedCurve(
        curve, data["n_devices"], data["kv_cache"], data["batch"], data["precision"], data["provenance"]
    )


def _headroom_as_dict(curve: FittedQueryCurve | FittedPhaseCurve) -> dict[str, Any] | None:
    """A curve's headroom; None where it has none."""
    if isinstance(curve, FittedQueryCurve) or curve.headroom is None:
        return None
    return dataclasses.asdict(curve.headroom)


def _domains(curve: FittedQueryCurve | FittedPhaseCurve) -> dict[str, Domain]:
    """A curve's domains by the names of its fields."""
    if isinstance(curve, FittedPhaseCurve):
        return {"prompts": curve.prompts, "contexts": curve.contexts}
    return {"domain": curve.domain}


def _domain_as_dict(domain: Domain) -> dict[str, Any]:
    """Lists where the domain has tuples, which YAML would tag."""
    return {
        "names": list(domain.names),
        "least": list(domain.least),
        "corners": [list(corner) for corner in domain.corners],
    }


def _domain_from_dict(data: dict[str, Any]) -> Domain:
    """The inverse of `_domain_as_dict`."""
    return Domain(
        tuple(data["names"]),
        tuple(data["least"]),
        tuple((first, second) for first, second in data["corners"]),
    )


def _fitted_as_dict(fitted: Fitted) -> dict[str, Any]:
    """A form's settings and its parameters by name."""
    names = [parameter.name for parameter in fitted.form.parameters()]
    return {
        "form": dataclasses.asdict(fitted.form),  # type: ignore[call-overload]
        "parameters": dict(zip(names, fitted.theta.tolist(), strict=True)),
        "covariance": fitted.covariance.tolist(),
        "scatter": fitted.scatter,
        "report": fitted.report,
    }


def _fitted_from_dict(data: dict[str, Any]) -> Fitted:
    """The inverse of `_fitted_as_dict`; parameters are in the order of the form."""
    form = build(data["form"]["name"], data["form"])
    return Fitted(
        form,
        np.array(list(data["parameters"].values()), dtype=np.float64),
        np.array(data["covariance"], dtype=np.float64),
        data["scatter"],
        data["report"],
    )


def _dumper() -> Any:
    """YAML's safe dumper, but texts of several lines as blocks and short lists on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Repeats what is there twice: anchors read badly."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        """A text of several lines, such as lmfit's report, as a block."""
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def sequence(dumper: Any, value: list[Any]) -> Any:
        """A list of numbers on one line."""
        flat = not any(isinstance(item, list | dict) for item in value)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)

    Dumper.add_representer(str, text)
    Dumper.add_representer(list, sequence)
    return Dumper
