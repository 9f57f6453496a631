"""Curves of phases from trials of batches with a KV cache.

A trial states one phase, or both of a whole run. The curves join what was measured: prefill is fitted to the
trials that state it, decode to those that state that; joules to single phases where there are such, or else
to whole runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.decode import Decode
from llmsim.curves.domain import Domain
from llmsim.curves.form import Form
from llmsim.curves.headroom import (
    LEAST_CELLS,
    Generations,
    Headroom,
    applies,
    fit_headroom,
    on_end,
    work_bound,
)
from llmsim.curves.joules import JoulesApart, JoulesTogether, Pass, PhaseJoules
from llmsim.curves.part import Part, Sample, fit_part
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_energy import BELOW_LIMIT, DecodeEnergy, PhaseEnergy, PrefillEnergy
from llmsim.curves.prefill import Prefill
from llmsim.curves.select import NoCurve, refuse_constant
from llmsim.curves.validate import LeftOut, groups_of
from llmsim.trials.table import Trials

UNITS: Mapping[str, str] = {
    "prefill": "s",
    "decode": "s",
    "energy": "J",
    "prefill_energy": "J",
    "decode_energy": "J",
    "runtime": "s",
}
# Of whole generations: the pass amid its steps, and all of it. Held against curves of single phases.
GENERATION = ("generation_prefill", "generation_energy")
# A form with more parameters is worth them where its left-out error is at most this part of the other's.
WORTH_MORE = 0.8
# A step over all experts takes several times one over a few: no dense model gains this much by them.
WORTH_EXPERTS = 0.2


@dataclass(frozen=True)
class Phased:
    """Trials by what they state.

    Attributes:
        prefill, decode: those that state that phase; where phases were measured apart, that phase alone.
        whole: those that state both, of one run.
        apart: whether phases were measured one at a time.
    """

    prefill: Trials
    decode: Trials
    whole: Trials
    apart: bool

    @classmethod
    def of(cls, rows: Trials) -> Phased:
        """The rows, sorted."""
        prefill, decode = np.isfinite(rows["prefill_s"]), np.isfinite(rows["decode_step_s"])
        both = prefill & decode
        # A pass amid steps is quicker than one on end: where there are passes on end, the curve is theirs.
        apart = bool((prefill & ~both).any() or (decode & ~both).any())
        of_prefill = prefill & ~both if (prefill & ~both).any() else prefill
        of_decode = decode & ~both if (decode & ~both).any() else decode
        return cls(rows.take(of_prefill), rows.take(of_decode), rows.take(both), apart)

    def rows_of(self, part: str) -> Trials:
        """The trials that a part was fitted to, in the order of its left-out predictions."""
        if part in ("energy", "runtime", *GENERATION):
            return self.whole if part == "runtime" else powered(self.whole)
        rows = self.prefill if part.startswith("prefill") else self.decode
        return rows.take(_one_phase_joules(rows)) if part.endswith("energy") else rows


def phased_rows(rows: Trials) -> Trials:
    """The rows that state a phase, or both."""
    return rows.take(np.isfinite(rows["prefill_s"]) | np.isfinite(rows["decode_step_s"]))


def powered(rows: Trials) -> Trials:
    """The rows that state joules."""
    return rows.take(np.isfinite(rows["energy_j"]))


def fit_phases(rows: Trials) -> tuple[FittedPhaseCurve, dict[str, Part], dict[str, LeftOut]]:
    """The phase curve of one target, its parts, and what it says of generations that it did not see.

    `prefill` and `decode` are of seconds; where joules were measured there are `prefill_energy` and
    `decode_energy`, or the `energy` of whole runs. Where phases were measured apart, generations give the
    headroom and are what `GENERATION` names; too few of them, or passes that are no quicker, give none.

    Args:
        rows: the target's usable trials, all with a KV cache.

    Raises:
        NoCurve: the trials do not state both phases.
        InputError: they cannot determine a form.
    """
    what = f"{rows['model'][0]} on {rows['system'][0]}"
    phased = Phased.of(rows)
    if not (len(phased.prefill) and len(phased.decode)):
        raise NoCurve(
            f"no curve for {what}: its trials with a KV cache lack prefill_s or decode_step_s. Give both, in "
            "the same rows or in rows of their own, or measure it with task=characterize."
        )
    refuse_constant(phased.prefill, ("batch", "tau_in"), f"{what}, prefill")
    refuse_constant(phased.decode, ("batch", "tau_in"), f"{what}, decode step")
    parts = {"prefill": _prefill(phased.prefill, what), "decode": _decode(phased.decode, what)}
    energy: PhaseJoules | None = None
    if phased.apart:
        parts |= _joules_apart(phased, parts, what)
        if "decode_energy" in parts:
            energy = JoulesApart(parts["prefill_energy"].fitted, parts["decode_energy"].fitted)
    elif len(powered(phased.whole)):
        parts["energy"] = _joules_together(powered(phased.whole), what)
        energy = JoulesTogether(parts["energy"].fitted)
    prompts, contexts = _domains(phased)
    curve = FittedPhaseCurve(parts["prefill"].fitted, parts["decode"].fitted, energy, prompts, contexts)
    headroom, generations = _headroom(curve, powered(phased.whole)) if phased.apart else (None, None)
    named = {} if generations is None else dict(zip(GENERATION, generations, strict=True))
    return dataclasses.replace(curve, headroom=headroom), parts, named


def end_to_end(rows: Trials, parts: dict[str, Part]) -> LeftOut:
    """Whole runtimes from left-out phases: neither saw the trial's batch and prompt, or its cell.

    Args:
        rows: the trials that the parts were fitted to, each of which states both phases.
    """
    steps = rows["tau_out"] - 1
    prefill, decode = parts["prefill"].left_out, parts["decode"].left_out
    return LeftOut(
        rows["runtime_s"],
        prefill.predicted + steps * decode.predicted,
        np.hypot(prefill.curve_se, steps * decode.curve_se),
        decode.groups,
        relative=True,
    )


def prefill_inputs(rows: Trials) -> tuple[NDArray[np.int64], ...]:
    """Inputs of `Prefill`: prompts, their tokens, the tokens' squares, each of shape (n,)."""
    batch, tau_in = rows["batch"], rows["tau_in"]
    return batch, batch * tau_in, batch * tau_in**2


def decode_inputs(rows: Trials) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Inputs of `Decode`: batch, and total context of the mean step, each of shape (n,)."""
    batch, tau_in, tau_out = rows["batch"], rows["tau_in"], rows["tau_out"]
    # Steps k = 1 .. tau_out - 1 attend to tau_in + k tokens a query: on average tau_in + tau_out / 2.
    return batch, batch * (tau_in + tau_out / 2)


def _domains(phased: Phased) -> tuple[Domain, Domain]:
    """What was measured of prompts, and of contexts."""
    decode = phased.decode
    batch, tau_in = decode["batch"], decode["tau_in"]
    contexts = Domain.of(("batch", "tokens"), batch, tau_in + decode["tau_out"])
    contexts = dataclasses.replace(contexts, least=(int(batch.min()), int(tau_in.min())))
    if not phased.apart:
        return contexts, contexts
    return Domain.of(("batch", "tokens"), phased.prefill["batch"], phased.prefill["tau_in"]), contexts


def _prefill(rows: Trials, what: str) -> Part:
    """Seconds of a pass, by the form with a launch where that is worth its parameters."""
    # The answer's length does not touch the prompt: trials of one batch and prompt are one cell.
    cells = groups_of(rows["batch"], rows["tau_in"])
    sample = Sample(prefill_inputs(rows), rows["prefill_s"], cells, "s", f"{what}, prefill")
    return _least_error((Prefill(), Prefill(sharpness=None)), sample, WORTH_MORE)


def _decode(rows: Trials, what: str) -> Part:
    """Seconds of a step, by the form of a mixture of experts where that is worth its parameters."""
    cells = groups_of(rows["batch"], rows["tau_in"], rows["tau_out"])
    sample = Sample(decode_inputs(rows), rows["decode_step_s"], cells, "s", f"{what}, decode step")
    return _least_error((Decode(), Decode(routed=True)), sample, WORTH_EXPERTS)


def _least_error(forms: Sequence[Form], sample: Sample, worth: float) -> Part:
    """The part of whichever form errs least left out; a later one must be worth its parameters."""
    best = fit_part(forms[0], sample)
    cells = len(np.unique(sample.cells))
    for form in forms[1:]:
        if len(form.parameters()) >= cells:
            break  # too few settings to tell
        part = fit_part(form, sample)
        if part.left_out.mape_pct < worth * best.left_out.mape_pct:
            best = part
    return best


def _joules_apart(phased: Phased, times: dict[str, Part], what: str) -> dict[str, Part]:
    """Joules of each phase, where both were measured; seconds that the limit acts on are left out too."""
    prefill, decode = phased.rows_of("prefill_energy"), phased.rows_of("decode_energy")
    if not (len(prefill) and len(decode)):
        return {}
    seconds = {
        name: times[name].left_out.predicted[_one_phase_joules(rows)]
        for name, rows in (("prefill", phased.prefill), ("decode", phased.decode))
    }
    _, tokens, squares = prefill_inputs(prefill)
    of_passes = Sample(
        (tokens, squares, prefill["prefill_s"]),
        prefill["energy_j"],
        groups_of(prefill["batch"], prefill["tau_in"]),
        "J",
        f"{what}, prefill energy",
        unseen=(tokens, squares, seconds["prefill"]),
    )
    batch, context = decode_inputs(decode)
    of_steps = Sample(
        (batch, context, decode["decode_step_s"]),
        decode["energy_j"] / (decode["tau_out"] - 1),
        groups_of(batch, decode["tau_in"], decode["tau_out"]),
        "J",
        f"{what}, decode energy",
        unseen=(batch, context, seconds["decode"]),
    )
    return {
        "prefill_energy": fit_part(PrefillEnergy(), of_passes),
        "decode_energy": fit_part(DecodeEnergy(miss=_miss(times["decode"])), of_steps),
    }


def generations_of(curve: FittedPhaseCurve, rows: Trials) -> Generations | None:
    """Generations beside what the curve says of their phases; None where it does not tell joules apart.

    Args:
        rows: those that state both phases, and joules.
    """
    if not (len(rows) and isinstance(curve.energy, JoulesApart) and applies(curve.prefill_time)):
        return None
    prompts, tokens, squares = prefill_inputs(rows)
    batch, tau_in, steps = rows["batch"], rows["tau_in"], rows["tau_out"] - 1
    on_end_s = curve.prefill_time.value(prompts, tokens, squares)
    decoded = curve.decode(batch, batch * (tau_in + 1), steps)
    if decoded.runtime_s is None or decoded.energy_j is None:
        return None
    return Generations(
        work_bound(curve.prefill_time, prompts, tokens, squares),
        on_end_s,
        curve.energy.of_passes(Pass(tokens, squares, on_end_s))[0],
        decoded.runtime_s,
        decoded.energy_j,
        rows["prefill_s"],
        rows["energy_j"],
        groups_of(batch, tau_in, rows["tau_out"]),
    )


def generation_cells(phased: Phased) -> int:
    """Settings of generations whose pass was timed apart, beside phases that were measured one at a time."""
    if not phased.apart:
        return 0
    whole = powered(phased.whole)
    return len(np.unique(np.stack([whole[name] for name in ("batch", "tau_in", "tau_out")]), axis=1).T)


def no_headroom(curve: FittedPhaseCurve, phased: Phased) -> str | None:
    """Why a curve has no headroom; None where it has one, or needs none.

    Args:
        phased: the trials that it was fitted to.
    """
    if curve.headroom is not None or not isinstance(curve.energy, JoulesApart):
        return None
    passes = phased.rows_of("prefill_energy")
    limit_w = float(curve.energy.prefill.theta[-1])
    limited = passes.take(passes["energy_j"] >= BELOW_LIMIT * limit_w * passes["prefill_s"])
    if len(np.unique(groups_of(limited["batch"], limited["tau_in"]))) < 2:
        return None  # one setting draws the most, whether anything limits it or not
    cells = generation_cells(phased)
    if cells >= LEAST_CELLS:
        return f"{cells} generation cells were measured, and passes amid steps are as quick as on end"
    return (
        "passes amid decode steps are predicted as passes on end. Where the power limit holds those down, "
        "that is up to a fifth too slow. Generations whose pass is timed apart tell (task=characterize, "
        f"task.generation): {LEAST_CELLS} cells of them are needed, and there are {cells or 'none'}. "
        "hardware.NAME.headroom lends one"
    )


def _headroom(
    curve: FittedPhaseCurve, rows: Trials
) -> tuple[Headroom | None, tuple[LeftOut, LeftOut] | None]:
    """How much quicker passes are amid steps, and what is then said of generations that are left out."""
    whole = generations_of(curve, rows)
    if whole is None or not isinstance(curve.energy, JoulesApart):
        return None, None
    plain = on_end(whole)
    found = fit_headroom(float(curve.energy.prefill.theta[-1]), whole)
    if found is not None and found[1][0].mape_pct < WORTH_MORE * plain[0].mape_pct:
        return found
    # A spread over settings needs two of them.
    return None, plain if len(np.unique(whole.cells)) > 1 else None


def _one_phase_joules(rows: Trials) -> NDArray[np.bool_]:
    """Which rows state joules of one phase alone, shape (n,)."""
    one = np.isfinite(rows["prefill_s"]) != np.isfinite(rows["decode_step_s"])
    return np.asarray(one & np.isfinite(rows["energy_j"]), dtype=np.bool_)


def _miss(time: Part) -> float | None:
    """The chance that a token misses an expert, where the time curve found experts."""
    names = [parameter.name for parameter in time.fitted.form.parameters()]
    return float(time.fitted.theta[names.index("miss")]) if "miss" in names else None


def _joules_together(rows: Trials, what: str) -> Part:
    """Joules of whole runs, where no phase was metered by itself."""
    batch, tau_in, tau_out = rows["batch"], rows["tau_in"], rows["tau_out"]
    steps = tau_out - 1
    inputs = (batch * tau_in, steps, steps * batch)
    cells = groups_of(batch, tau_in, tau_out)
    return fit_part(PhaseEnergy(), Sample(inputs, rows["energy_j"], cells, "J", f"{what}, energy"))
