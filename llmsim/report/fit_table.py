"""Fitted curves at a glance in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmsim.report.figures import ABSENT, is_absent

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


def render(records: Sequence[Mapping[str, Any]], absent: Mapping[str, str], console: Console) -> None:
    """Print one line a system, model, target and form; the form that the library uses is marked."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title="Error on trials that a curve did not see",
        title_justify="left",
    )
    for name in ("curve", "target", "form"):
        table.add_column(name, no_wrap=True)
    held = [name for name in MOVED if any(name in (record.get("transfer") or {}) for record in records)]
    for label in (*(column[0] for column in COLUMNS), *held):
        table.add_column(label, justify="right")
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
        style = "bold" if record["chosen"] else "dim"
        table.add_row("" if curve == before else curve, record["target"], form, *figures, style=style)
        before = curve
    console.print(table)
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
    for what, why in absent.items():
        console.print(f"no curve: {what} ({why}).")


def _target(record: Mapping[str, Any]) -> tuple[str, str, int]:
    return record["model"], record["system"], record["n_devices"]


def _shown(value: float | None, pattern: str) -> str:
    return ABSENT if value is None or is_absent(value) else pattern.format(value)
