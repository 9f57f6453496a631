"""Which figures a report compares: the columns of all parts, and the rows under them."""

from __future__ import annotations

from collections.abc import Sequence

from llmsim.report.parts import PARTS
from llmsim.report.sheet import Column, Row, Sheet, make_sheet, policy_label


def columns_of(sheet: str, detail: bool) -> tuple[Column, ...]:
    """The columns of a table, of all parts; with `detail` also those that only the page shows."""
    return tuple(
        column
        for part in PARTS
        for column in part.columns
        if column.sheet == sheet and (detail or not column.detail)
    )


def comparison(summary: Row, columns: Sequence[Column]) -> Sheet:
    """The policy's row and one for each baseline, under those of the columns that are to be shown."""
    rows = {policy_label(summary): summary, **summary.get("baselines", {})}
    shown = [column for column in columns if column.applies(rows.values())]
    return make_sheet(rows, shown, leads=True)


def deployments(summary: Row, of: Row | None = None, detail: bool = False) -> Sheet:
    """One row for each deployment of `of` (the summary itself, or one of its baselines)."""
    of = summary if of is None else of
    curves = (summary.get("provenance") or {}).get("curves") or {}
    rows = {
        name: {**part, **((curves.get(name) or {}).get("left_out_error") or {})}
        for name, part in of.get("deployments", {}).items()
    }
    columns = [column for part in PARTS for column in part.deployment_columns if detail or not column.detail]
    return make_sheet(rows, [column for column in columns if column.applies(rows.values())], leads=False)
