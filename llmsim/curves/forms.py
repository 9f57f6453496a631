"""The forms by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsim.curves.form import Form
from llmsim.errors import InputError
from llmsim.registry import Registry

FORMS = Registry(
    kind="curve",
    entry_points="llmsim.curves",
    built_in={
        "decode": "llmsim.curves.decode:Decode",
        "decode_energy": "llmsim.curves.phase_energy:DecodeEnergy",
        "interaction": "llmsim.curves.interaction:Interaction",
        "phase_energy": "llmsim.curves.phase_energy:PhaseEnergy",
        "prefill": "llmsim.curves.prefill:Prefill",
        "prefill_energy": "llmsim.curves.phase_energy:PrefillEnergy",
        "recompute": "llmsim.curves.recompute:Recompute",
        "roofline": "llmsim.curves.roofline:Roofline",
    },
)

# Which forms `auto` chooses from, for trials of whole queries without a KV cache.
CANDIDATES: tuple[str, ...] = ("recompute", "roofline")
AUTO = "auto"
# Forms of one phase of a batch; all others are of whole queries.
PHASE_FORMS = ("decode", "decode_energy", "phase_energy", "prefill", "prefill_energy")


def build(name: str, settings: Mapping[str, Any] | None = None) -> Form:
    """The form called `name` with its settings.

    Raises:
        InputError: an unknown name, or a setting that the form does not have.
    """
    form: Form = FORMS.build({**(settings or {}), "name": name})
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
