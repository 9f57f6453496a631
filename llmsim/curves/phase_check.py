"""How phase curves do on settings that were measured to check them, and that no curve is fitted to."""

from __future__ import annotations

import numpy as np

from llmsim.curves.form import FloatArray
from llmsim.curves.joules import JoulesApart
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_fit import (
    GENERATION,
    Phased,
    decode_inputs,
    generations_of,
    powered,
    prefill_inputs,
)
from llmsim.trials.table import Trials

CHECK = "check"  # the quality of such a row


def checks(trials: Trials, rows: Trials, curve: FittedPhaseCurve) -> dict[str, float]:
    """Mean absolute error on the checking trials of each part, percent of what was measured.

    Args:
        trials: all of them.
        rows: those that the curve was fitted to: what was measured elsewhere is another target's.
    """
    same = np.ones(len(trials), dtype=np.bool_)
    for name in ("system", "model", "n_devices", "kv_cache", "source"):
        same &= trials[name] == rows[name][0]
    kept = trials.take(same & (trials["quality"] == CHECK))
    apart = Phased.of(rows).apart
    both = np.isfinite(kept["prefill_s"]) & np.isfinite(kept["decode_step_s"])
    phased = Phased.of(kept.take(~both) if apart else kept)
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    if len(phased.prefill):
        measured = phased.rows_of("prefill")
        found["prefill"] = measured["prefill_s"], curve.prefill_time.value(*prefill_inputs(measured))
    if len(phased.decode):
        measured = phased.rows_of("decode")
        found["decode"] = measured["decode_step_s"], curve.decode_time.value(*decode_inputs(measured))
    if isinstance(curve.energy, JoulesApart):
        measured = phased.rows_of("prefill_energy")
        inputs = prefill_inputs(measured)
        joules = curve.energy.prefill.value(*inputs[1:], curve.prefill_time.value(*inputs))
        found["prefill_energy"] = measured["energy_j"], joules
        measured = phased.rows_of("decode_energy")
        steps = decode_inputs(measured)
        joules = curve.energy.decode.value(*steps, curve.decode_time.value(*steps))
        found["decode_energy"] = measured["energy_j"] / (measured["tau_out"] - 1), joules
    whole = generations_of(curve, powered(kept.take(both))) if apart else None
    if whole is not None:
        pair = zip((whole.measured_s, whole.measured_j), whole.predicted(curve.headroom), strict=True)
        found |= dict(zip(GENERATION, pair, strict=True))
    return {
        part: 100 * float(np.mean(np.abs(predicted / measured - 1)))
        for part, (measured, predicted) in found.items()
        if len(measured)
    }
