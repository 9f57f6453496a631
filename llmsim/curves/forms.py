"""The forms by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from llmsim.config import parse
from llmsim.curves.form import Form
from llmsim.errors import InputError, did_you_mean

BUILT_IN: dict[str, str] = {
    "interaction": "llmsim.curves.interaction:Interaction",
    "recompute": "llmsim.curves.recompute:Recompute",
    "roofline": "llmsim.curves.roofline:Roofline",
}

# Which forms `auto` chooses from, for trials of whole queries without a KV cache.
CANDIDATES: tuple[str, ...] = ("recompute", "roofline")


AUTO = "auto"


def build(name: str, settings: Mapping[str, Any] | None = None) -> Form:
    """The form called `name` with its settings.

    Raises:
        InputError: an unknown name, or a setting that the form does not have.
    """
    if name not in BUILT_IN:
        known = [*BUILT_IN, AUTO]
        raise InputError(f"curve={name}: no such form. {did_you_mean(name, known, 'form')}")
    module, _, cls = BUILT_IN[name].partition(":")
    form: Form = parse(
        getattr(importlib.import_module(module), cls), {**(settings or {}), "name": name}, "curve"
    )
    return form


def from_config(node: Mapping[str, Any]) -> Form | str:
    """What `curve=...` says: a form, or `auto` (which has no settings).

    Raises:
        InputError: an unknown name, or a setting that the form does not have.
    """
    settings = {str(key): value for key, value in node.items()}
    name = str(settings.pop("name", AUTO))
    if name != AUTO:
        return build(name, settings)
    if settings:
        raise InputError(
            f"curve.{next(iter(settings))}: curve=auto has no settings; choose a form to set it."
        )
    return AUTO
