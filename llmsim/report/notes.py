"""What a reader of the figures must know, in sentences: proof, scope, refusals, absences, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmsim.report import figures
from llmsim.report.note import Note
from llmsim.report.parts import PARTS
from llmsim.report.sheet import Column, Row, Sheet, policy_label


def all_notes(summary: Row, sheets: Iterable[Sheet]) -> list[Note]:
    """Every note that belongs under the tables, in the order in which a reader asks.

    Args:
        summary: the content of ``summary.json``.
        sheets: what is shown above; each dash in them gets its reason.
    """
    return [
        *(note for part in PARTS for note in part.notes(summary)),
        *(Note("workload", str(text)) for text in (summary.get("workload") or {}).get("notes") or ()),
        *(Note("absent", text) for text in absences(summary, sheets)),
        *(Note("warning", str(text), grave=True) for text in summary.get("warnings") or ()),
    ]


def absences(summary: Row, sheets: Iterable[Sheet]) -> list[str]:
    """Why each dash is one: like reasons together; then what else the summary says is absent."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    shown = set()
    for sheet in sheets:
        for label, column in sheet.missing():
            shown.add(column.key)
            link = "against" if column.compares else "of"
            reason = _reason(summary, label, column.key)
            found.setdefault((_subject(column), link, reason), {})[label] = None
    alike: dict[tuple[str, str, str], list[str]] = {}
    for (subject, link, reason), labels in found.items():
        alike.setdefault((link, ", ".join(labels), reason), []).append(subject)
    told = [f"{', '.join(what)} {link} {who}: {why}" for (link, who, why), what in alike.items()]
    # What was not asked for has a column that is not shown, or a note of its own.
    with_column = {column.key for part in PARTS for column in part.columns} | {"certificate"}
    others = {k: v for k, v in (summary.get("absent") or {}).items() if k.split(".")[0] not in with_column}
    return told + [f"{key}: {reason}" for key, reason in others.items()]


def _subject(column: Column) -> str:
    """What a column counts: its group, and its label where the group's columns are absent one by one."""
    together = column.ladder is figures.TIME  # a spread is absent as a whole
    return column.group if together or not column.label else f"{column.label} {column.group}"


def _reason(summary: Row, label: str, key: str) -> str:
    """Why the row `label` has no figure `key`: the nearest explanation that the summary gives."""
    row = summary if label == policy_label(summary) else (summary.get("baselines") or {}).get(label)
    part = (summary.get("deployments") or {}).get(label)
    if row is None and part is not None:
        row = part
    for place in (row or {}, summary):
        told: Mapping[str, Any] = place.get("absent") or {}
        for known, reason in told.items():
            if known == key or known.split(".")[0] == key or known == f"{label}.{key}":
                return str(reason)
    if part is not None and not part.get("queries"):
        return "no query was sent there"
    return "no reason was recorded"
