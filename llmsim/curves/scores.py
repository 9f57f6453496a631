"""How good every curve is: one record a system, model, target and form."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from llmsim.curves.choice import choose
from llmsim.curves.cost import IntArray
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import InputArray
from llmsim.curves.forms import build
from llmsim.curves.negative import negative
from llmsim.curves.phase_check import checks
from llmsim.curves.phase_fit import Phased, end_to_end, fit_phases
from llmsim.curves.query_fit import TARGETS, fit_target
from llmsim.curves.select import GRID, conditions, grid_rows, rows_of
from llmsim.curves.transfer import contended, noise_floor, transfer
from llmsim.curves.validate import LeftOut
from llmsim.trials.table import Trials

QUERY_FORMS = ("interaction", "recompute", "roofline")
LONGEST_TOKENS = 32_768  # negative predictions are looked for up to here
GRID_POINTS = 64  # along each axis, by powers


def scores(trials: Trials, only: Collection[tuple[str, str]] | None = None) -> Iterator[dict[str, Any]]:
    """A record for every system, model, number of devices, target and form that the trials allow.

    Each has `loco_*` (leave-one-cell-out), `interval_*` (90 % intervals), `negative_predictions` (of 4,096
    queries from 1 to 32,768 tokens), and `chosen`: whether the library uses that form. `transfer` has the
    error on each experiment that the curve was not fitted to (`check`: on trials made to check phases);
    trials that were contended are apart.

    Args:
        trials: all of them: a form is chosen by all models of a system.
        only: systems and models to score; all where None.
    """
    usable = trials.usable()
    for system in usable.distinct("system"):
        of_system = usable.where(system=system)
        for model in of_system.distinct("model"):
            if only is not None and (system, model) not in only:
                continue
            for devices, cached in conditions(of_system.where(model=model)):
                rows = rows_of(trials, system, model, devices, cached)
                head = {"system": system, "model": model, "n_devices": devices, "kv_cache": cached}
                records = _phases(trials, rows) if cached else _queries(trials, rows)
                yield from ({**head, **record} for record in records)


def _queries(trials: Trials, rows: Trials) -> Iterator[dict[str, Any]]:
    """Records of one target's single queries, by every form."""
    system, model = str(rows["system"][0]), str(rows["model"][0])
    fitted_rows = grid_rows(rows.where(batch=1))
    for target, (column, _) in TARGETS.items():
        measured = fitted_rows.take(np.isfinite(fitted_rows[column]))
        if not len(measured):
            continue
        chosen = choose(trials, system, target)
        for name in QUERY_FORMS:
            part = fit_target(measured, target, build(name))
            every = trials.where(system=system, model=model, kv_cache=False)
            others = _transfers(every, rows, part.fitted, target)
            yield {
                "target": target,
                "form": name,
                "chosen": name == chosen,
                **part.left_out.as_dict(),
                "negative_predictions": _negative(part.fitted, *_query_grid()),
                "noise_floor_pct": noise_floor(fitted_rows, target).median_cv_pct,
                **others,
            }


def _transfers(all_rows: Trials, rows: Trials, fitted: Fitted, target: str) -> dict[str, Any]:
    """Errors on the experiments that the curve did not see; contended trials apart."""
    others = [name for name in rows.distinct("experiment") if name != GRID]
    if GRID not in rows.distinct("experiment") or not others:
        return {"transfer": None}
    errors: dict[str, float] = {}
    apart: dict[str, float] = {}
    for experiment in others:
        seen = all_rows.where(experiment=experiment)
        sound = seen.usable()
        waited = contended(seen)[seen.is_usable()]
        for kept, where in ((sound.take(~waited), errors), (sound.take(waited), apart)):
            result = transfer(fitted, kept, target)
            if result is not None:
                where[experiment] = result.mape_pct
    return {"transfer": errors, "transfer_contended": apart or None}


def _phases(trials: Trials, rows: Trials) -> Iterator[dict[str, Any]]:
    """Records of one target's phases, of generations, and of whole runs where phases were not apart."""
    curve, parts, generations = fit_phases(rows)
    phased = Phased.of(rows)
    batch, tokens = (axis.ravel() for axis in np.meshgrid(2 ** np.arange(8), _lengths()))
    passes = batch, batch * tokens, batch * tokens**2
    grids: dict[str, tuple[InputArray, ...]] = {
        "prefill": passes,
        "decode": (batch, batch * tokens),
        "energy": (batch * tokens, tokens, batch * tokens),
        "prefill_energy": (*passes[1:], curve.prefill_time.value(*passes)),
        "decode_energy": (batch, batch * tokens, curve.decode_time.value(batch, batch * tokens)),
    }
    checked = checks(trials, rows, curve)
    for name, part in parts.items():
        of = "energy" if name.endswith("energy") else "runtime"
        # Repeats of a phase tell its noise where the row's joules and seconds are that phase's alone.
        alone = phased.apart or name == "energy"
        noise = noise_floor(phased.rows_of(name), of).median_cv_pct if alone else None
        negative = _negative(part.fitted, *grids[name])
        transfer = {"check": checked[name]} if name in checked else None
        yield _phase_record(name, part.fitted.form.name, part.left_out, negative, noise) | {
            "transfer": transfer
        }
    for name, left_out in generations.items():
        # What repeats of a pass amid steps differ by, no row's joules or seconds tell.
        energy = name.endswith("energy")
        noise = noise_floor(phased.rows_of(name), "energy").median_cv_pct if energy else None
        form = "on end" if curve.headroom is None else "headroom"
        transfer = {"check": checked[name]} if name in checked else None
        yield _phase_record(name, form, left_out, 0, noise) | {"transfer": transfer}
    if not phased.apart:
        noise = noise_floor(phased.whole, "runtime").median_cv_pct
        yield _phase_record("runtime", "prefill+decode", end_to_end(phased.whole, parts), 0, noise)


def _phase_record(
    target: str, form: str, left_out: LeftOut, negative: int, noise: float | None
) -> dict[str, Any]:
    """One record; phases have one form each, which is the chosen one."""
    return {
        "target": target,
        "form": form,
        "chosen": True,
        **left_out.as_dict(),
        "negative_predictions": negative,
        "noise_floor_pct": noise,
        "transfer": None,
    }


def _lengths() -> IntArray:
    """Token counts at which negative predictions are looked for, evenly spread on a log scale."""
    return np.unique(np.geomspace(1, LONGEST_TOKENS, GRID_POINTS).round().astype(np.int64))


def _query_grid() -> tuple[IntArray, IntArray]:
    """Every pair of those lengths, as tau_in and tau_out of shape (n,)."""
    tau_in, tau_out = np.meshgrid(_lengths(), _lengths())
    return tau_in.ravel(), tau_out.ravel()


def _negative(fitted: Fitted, *inputs: InputArray) -> int:
    """How many predictions at these inputs are below zero."""
    return negative(fitted.predict(*inputs)[0]).count
