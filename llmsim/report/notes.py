"""What a reader of the figures must know, in sentences: proof, scope, refusals, absences, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmsim.report import figures
from llmsim.report.rows import Column, Row, Sheet, policy_label


@dataclass(frozen=True)
class Note:
    """A sentence and what it is about; `grave` ones are shown so that nobody misses them."""

    about: str
    text: str
    grave: bool = False


def all_notes(summary: Row, sheets: Iterable[Sheet]) -> list[Note]:
    """Every note that belongs under the tables, in the order in which a reader asks.

    Args:
        summary: the content of ``summary.json``.
        sheets: what is shown above; each dash in them gets its reason.
    """
    return [
        Note("certificate", certificate(summary)),
        Note("energy", energy(summary)),
        *(Note("idle power", text) for text in idle_power(summary)),
        *(Note("models", text) for text in models(summary)),
        *(Note("curves", text) for text in regime(summary)),
        *(Note("workload", str(text)) for text in (summary.get("workload") or {}).get("notes") or ()),
        *(Note("refused", text) for text in refused(summary)),
        *(Note("extrapolated", text) for text in extrapolated(summary)),
        *(Note("absent", text) for text in absences(summary, sheets)),
        *(Note("warning", str(text), grave=True) for text in summary.get("warnings") or ()),
    ]


def certificate(summary: Row) -> str:
    """How far the plan may be from the best one, and what that bounds."""
    proof = summary.get("certificate")
    if not proof:
        return (
            f"none: {summary.get('policy', 'this policy')} does not prove how far its plan is from the best."
        )
    gap = proof.get("gap")
    scope = str(proof.get("scope") or "").strip()
    if gap is None:
        return f"no bound was proved by {proof.get('solver', 'the solver')}. {scope}".strip()
    return (
        f"proved within {figures.within(gap)} of optimal on the priced cost "
        f"(objective {figures.number(proof.get('objective'), 6)}, "
        f"lower bound {figures.number(proof.get('lower_bound'), 6)}; "
        f"{proof.get('solver', 'solver not named')}). {scope}"
    ).strip()


def energy(summary: Row) -> str:
    """How the joules were had, what they cover, and over which time."""
    method = summary.get("energy_method") or "method not stated"
    scope = summary.get("energy_scope") or "scope not stated"
    text = f"{method}; counts {scope}."
    horizon = summary.get("horizon_s")
    if horizon is not None:
        text += f" Idle energy is over the same {figures.seconds(horizon)} for all rows."
    return text


def idle_power(summary: Row) -> list[str]:
    """Idle power of each hardware, where it is from, and whether a model was loaded."""
    lines = []
    for name, idle in (summary.get("idle_power") or {}).items():
        if idle.get("power_w") is None:
            lines.append(f"{name} {figures.ABSENT} ({idle.get('source') or 'no source states it'})")
            continue
        loaded = {True: "model loaded", False: "no model loaded"}.get(
            idle.get("model_loaded"), "model loaded or not: unknown"
        )
        watts = figures.power(idle.get("power_w"))
        source = str(idle.get("source") or "no source stated").rstrip(". ")
        lines.append(f"{name} {watts} ({source}; {loaded})")
    return lines


def models(summary: Row) -> list[str]:
    """Which hardware named the models that were compared, where one did."""
    chosen = {part.get("model") for part in (summary.get("deployments") or {}).values()}
    return [
        f"those that conf/hardware/{name}.yaml names, {', '.join(node['models'])}; model= chooses others"
        for name, node in ((summary.get("provenance") or {}).get("hardware") or {}).items()
        if node.get("models") and chosen <= set(node["models"]) and len(chosen) > 1
    ]


def regime(summary: Row) -> list[str]:
    """How queries were served when the curves were measured, where serving engines do it otherwise."""
    parts = (summary.get("deployments") or {}).items()
    uncached = [name for name, part in parts if part.get("kv_cache") is False]
    if not uncached:
        return []
    return [
        f"{', '.join(uncached)}: one query at a time without a KV cache, as measured; serving engines batch "
        "and cache, and use far less energy for a query"
    ]


def refused(summary: Row) -> list[str]:
    """How many queries were refused, for each reason."""
    total = summary.get("refused")
    if not total:
        return []
    part = figures.percent(figures.share(total, summary.get("queries")))
    reasons = summary.get("refused_reasons") or {"no reason recorded": total}
    several = len(reasons) > 1
    told = "; ".join(f"{figures.count(n)}: {why}" if several else why for why, n in reasons.items())
    return [f"{figures.count(total)} of {figures.count(summary.get('queries'))} queries ({part}): {told}"]


def extrapolated(summary: Row) -> list[str]:
    """How many predictions lie outside what was measured."""
    n = summary.get("extrapolated")
    if not n:
        return []
    part = figures.percent(figures.share(n, summary.get("served")))
    return [f"{figures.count(n)} served queries ({part}) lie outside the measured range of tokens"]


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
    others = {k: v for k, v in (summary.get("absent") or {}).items() if k.split(".")[0] not in shown}
    return told + [f"{key}: {reason}" for key, reason in others.items()]


def _subject(column: Column) -> str:
    """What a column counts: its group, and its label where the group's columns are absent one by one."""
    together = column.ladder is figures.TIME  # a spread is absent as a whole
    return column.group if together or not column.label else f"{column.label} {column.group}"


def _reason(summary: Row, label: str, key: str) -> str:
    """Why the row `label` has no figure `key`: the nearest explanation that the summary gives."""
    row = summary if label == policy_label(summary) else (summary.get("baselines") or {}).get(label)
    part = (summary.get("deployments") or {}).get(label)
    if row is not None and key.startswith("saving") and row.get("saving_absent"):
        return str(row["saving_absent"])
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
