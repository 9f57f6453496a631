"""Curves of phases from trials of batches with a KV cache."""

from __future__ import annotations

import dataclasses

import numpy as np

from llmsim.curves.decode import Decode
from llmsim.curves.domain import Domain
from llmsim.curves.part import Part, fit_part
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_energy import PhaseEnergy
from llmsim.curves.prefill import Prefill
from llmsim.curves.select import NoCurve, refuse_constant
from llmsim.curves.validate import LeftOut, groups_of
from llmsim.trials.table import Trials

UNITS = {"prefill": "s", "decode": "s", "energy": "J", "runtime": "s"}


def fit_phases(rows: Trials) -> tuple[FittedPhaseCurve, dict[str, Part]]:
    """The phase curve of one target, and its parts (`prefill`, `decode`, and `energy` where measured).

    Args:
        rows: the target's usable trials, all with a KV cache.

    Raises:
        NoCurve: the trials state no phases.
        InputError: they cannot determine a form.
    """
    what = f"{rows['model'][0]} on {rows['system'][0]}"
    phased = rows.take(np.isfinite(rows["prefill_s"]) & np.isfinite(rows["decode_step_s"]))
    if not len(phased):
        raise NoCurve(
            f"no curve for {what}: its trials with a KV cache lack prefill_s or decode_step_s. Give both, "
            "or measure it with task=characterize."
        )
    refuse_constant(phased, ("batch", "tau_in"), what)
    parts = {"prefill": _prefill(phased, what), "decode": _decode(phased, what)}
    powered = phased.take(np.isfinite(phased["energy_j"]))
    if len(powered):
        parts["energy"] = _energy(powered, what)
    batch, tau_in = phased["batch"], phased["tau_in"]
    domain = Domain.of(("batch", "tokens"), batch, tau_in + phased["tau_out"])
    domain = dataclasses.replace(domain, least=(int(batch.min()), int(tau_in.min())))
    fitted = {name: part.fitted for name, part in parts.items()}
    return FittedPhaseCurve(fitted["prefill"], fitted["decode"], fitted.get("energy"), domain), parts


def end_to_end(rows: Trials, parts: dict[str, Part]) -> LeftOut:
    """Whole runtimes from left-out phases: neither saw the trial's batch and prompt, or its cell.

    Args:
        rows: the trials that the parts were fitted to.
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


def _prefill(rows: Trials, what: str) -> Part:
    batch, tau_in = rows["batch"], rows["tau_in"]
    # The answer's length does not touch the prompt: trials of one batch and prompt are one cell.
    inputs = (batch, batch * tau_in, batch * tau_in**2)
    return fit_part(Prefill(), inputs, rows["prefill_s"], groups_of(batch, tau_in), "s", f"{what}, prefill")


def _decode(rows: Trials, what: str) -> Part:
    batch, tau_in, tau_out = rows["batch"], rows["tau_in"], rows["tau_out"]
    # Steps k = 1 .. tau_out - 1 attend to tau_in + k tokens a query: on average tau_in + tau_out / 2.
    inputs = (batch, batch * (tau_in + tau_out / 2))
    cells = groups_of(batch, tau_in, tau_out)
    return fit_part(Decode(), inputs, rows["decode_step_s"], cells, "s", f"{what}, decode step")


def _energy(rows: Trials, what: str) -> Part:
    batch, tau_in, tau_out = rows["batch"], rows["tau_in"], rows["tau_out"]
    steps = tau_out - 1
    inputs = (batch * tau_in, steps, steps * batch)
    cells = groups_of(batch, tau_in, tau_out)
    return fit_part(
        PhaseEnergy(),
        inputs,
        rows["energy_j"],
        cells,
        "J",
        f"{what}, energy",
    )
