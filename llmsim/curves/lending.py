"""What was measured of a hardware's boards on some models, lent to the curves of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsim.curves.cost import PhaseCurve, QueryCurve
from llmsim.curves.headroom import LEAST_CELLS, UNHELD, UNITS, Headroom, applies
from llmsim.curves.joules import JoulesApart
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.specs.hardware import Hardware


def with_headroom(
    curve: QueryCurve | PhaseCurve, hardware: Hardware, n_devices: int, cells: int = 0
) -> tuple[QueryCurve | PhaseCurve, dict[str, Any]]:
    """The curve with its hardware's headroom, and what to add to its provenance.

    A curve whose trials tell its own keeps that, or keeps none if they tell that; one that knows no power
    limit has no use for it. Nor has one whose limit is clearly below the boards' own: its trials did not
    reach that, and the most that they draw passes for a limit (Qwen2.5 1.5B on an H200 of 700 W, prompts of
    up to 264 tokens: 609 W), or the boards were capped, which the lent one was not measured on.

    Args:
        cells: of generations among its own trials.
    """
    lent = hardware.headroom
    if lent is None or not isinstance(curve, FittedPhaseCurve) or curve.headroom is not None:
        return curve, {}
    if not isinstance(curve.energy, JoulesApart) or not applies(curve.prefill_time):
        return curve, {}
    if cells >= LEAST_CELLS:
        return curve, {}
    limit_w = float(curve.energy.prefill.theta[-1])
    if hardware.tdp_w is not None and limit_w < UNHELD * n_devices * hardware.tdp_w:
        return curve, {}
    told = {"lent_by": hardware.headroom_source}
    seconds, joules, budget_j = (lent[name] for name in UNITS)
    headroom = Headroom(seconds, joules, n_devices * budget_j, limit_w, told)
    return replace(curve, headroom=headroom), {
        "headroom": headroom.described(),
        "headroom_absent_because": None,
    }
