"""Fitted curves at a glance in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmsim.report.figures import ABSENT, is_absent
from llmsim.report.grid import Grid

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = (
    ("trials", "n", "{:,.0f}"),
    ("error %", "loco_mape_pct", "{:.2f}"),
    ("R2", "loco_r2", "{:.4f}"),
    ("band ±%", "interval_half_width_pct", "{:.1f}"),
    ("holds %", "interval_coverage_pct", "{:.0f}"),
    ("below 0", "negative_predictions", "{:,.0f}"),
)
# Experiments that a curve is held against, and what is said of each.
MOVED = {
    "input": "input: error on that experiment of a curve that was fitted to the grid only.",
    "output": "output: the same of that experiment.",
    "check": "check: error on settings between those of the grid, measured for that and never fitted.",
}

GENERATION = (
    "generation_prefill, generation_energy: a pass amid decode steps, and the joules of both; headroom: with "
    "what a board draws above its power limit for a while; on end: as passes on end."
)


def render(records: Sequence[Mapping[str, Any]], absent: Mapping[str, str], console: Console) -> None:
    """Print one line a system, model, target and form; the form that the library uses is marked."""
    held = [name for name in MOVED if any(name in (record.get("transfer") or {}) for record in records)]
    headings = ("curve", "target", "form", *(column[0] for column in COLUMNS), *held)
    rows, styles = [], []
    before = None
    cached = {_target(record) for record in records if record.get("kv_cache")}
    for record in records:
        curve = "{}@{} x{}".format(*_target(record))
        if _target(record) in cached and not record["kv_cache"]:
            curve += ", no cache"
        figures = [_shown(record[key], pattern) for _, key, pattern in COLUMNS]
        moved = record.get("transfer") or {}
        figures += [_shown(moved.get(name), "{:.1f}") for name in held]
        form = f"{record['form']} *" if record["chosen"] else record["form"]
        styles.append("bold" if record["chosen"] else "dim")
        rows.append(("" if curve == before else curve, record["target"], form, *figures))
        before = curve
    Grid("Error on trials that a curve did not see", headings, rows, words=3, styles=styles).show(console)
    console.print(
        "* the form that is used; that of queries is chosen for all models of a system, by levels left out."
    )
    console.print("error: mean absolute error with one setting left out at a time, its repeats together.")
    console.print(
        "band: half the 90 % interval of a new trial, and the share of left-out trials that it holds."
    )
    console.print("below 0: negative predictions among 4,096 queries of 1 to 32,768 tokens.")
    for name in held:
        console.print(MOVED[name])
    if any(record["target"].startswith("generation") for record in records):
        console.print(GENERATION)
    for what, why in absent.items():
        console.print(f"no curve: {what} ({why}).")


def render_headrooms(headrooms: Mapping[str, Mapping[str, Any] | None], console: Console) -> None:
    """Print the headroom of each curve that has one, with what it errs in the fit and left out by cell."""
    found = {name: headroom for name, headroom in headrooms.items() if headroom is not None}
    if not found:
        return
    headings = (
        "curve", "seconds", "joules", "budget J", "limit W", "cells", "pass s, error %", "joules, error %",
    )  # fmt: skip
    rows = []
    for name, one in found.items():
        errors = [
            f"{_shown(one.get(key), '{:.2f}')} ({_shown(one.get(f'left_out_{key}'), '{:.2f}')})"
            for key in ("prefill_time_mape_pct", "energy_mape_pct")
        ]
        values = [_with_error(one["parameters"][key]) for key in ("seconds", "joules", "budget_j")]
        rows.append((name, *values, f"{one['limit_w']:.0f}", str(one.get("cells", "")), *errors))
    Grid("Headroom: passes amid decode steps, as a share of passes on end", headings, rows).show(console)
    console.print("error: of the generations it was fitted to, and with one cell left out at a time.")


def _with_error(parameter: Mapping[str, Any]) -> str:
    """A parameter to two digits of its standard error."""
    value, error = float(parameter["value"]), parameter["stderr"]
    if not error:
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ±{error:.{digits}f}"


def _target(record: Mapping[str, Any]) -> tuple[str, str, int]:
    return record["model"], record["system"], record["n_devices"]


def _shown(value: float | None, pattern: str) -> str:
    return ABSENT if value is None or is_absent(value) else pattern.format(value)
