"""What was measured of a hardware's boards on some models, lent to the curves of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsim.curves.cost import PhaseCurve, QueryCurve
from llmsim.curves.headroom import Headroom, applies
from llmsim.curves.joules import JoulesApart
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.specs.hardware import Hardware


def with_headroom(
    curve: QueryCurve | PhaseCurve, hardware: Hardware, n_devices: int
) -> tuple[QueryCurve | PhaseCurve, dict[str, Any]]:
    """The curve with its hardware's headroom, and what to add to its provenance.

    A curve whose trials tell its own keeps that; one that knows no power limit has no use for it.
    """
    lent = hardware.headroom
    if lent is None or not isinstance(curve, FittedPhaseCurve) or curve.headroom is not None:
        return curve, {}
    if not isinstance(curve.energy, JoulesApart) or not applies(curve.prefill_time):
        return curve, {}
    told = {"lent_by": hardware.headroom_source}
    limit_w = float(curve.energy.prefill.theta[-1])
    headroom = Headroom(lent["work"], lent["gain"], n_devices * lent["budget_j"], limit_w, told)
    return replace(curve, headroom=headroom), {"headroom": vars(headroom)}
