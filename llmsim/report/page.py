"""A run as one page that opens anywhere, offline: figures, plots, proof, sources, configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from llmsim.errors import InputError
from llmsim.report import figures, notes, rows
from llmsim.report.charts_energy import nearest
from llmsim.report.document import document
from llmsim.report.markup import definitions, picture, sheet_table, spaced, text_table, tile
from llmsim.report.note import Note
from llmsim.report.parts import proof, worth
from llmsim.report.plots import Plot
from llmsim.report.sheet import SHEETS, policy_label

Summary = Mapping[str, Any]


def write(summary: Summary, plots: Sequence[Plot], path: Path, config_yaml: str = "") -> None:
    """Write the page of a run.

    It holds everything that it shows; its policy forbids every request. Words from outside are escaped.

    Args:
        summary: the content of ``summary.json``.
        plots: what `llmsim.report.plots.draw` gave.
        path: the file to write, such as ``report.html``.
        config_yaml: the run's configuration as YAML.

    Raises:
        InputError: when the file cannot be written.
    """
    text = render(summary, plots, config_yaml)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"The report cannot be written to {path}: {error.strerror or error}") from error


def render(summary: Summary, plots: Sequence[Plot], config_yaml: str = "") -> str:
    """The page as text."""
    compared = {
        title: rows.comparison(summary, rows.columns_of(sheet, detail=True))
        for sheet, title in SHEETS.items()
    }
    deployed = rows.deployments(summary, detail=True)
    told = notes.all_notes(summary, (*compared.values(), deployed))
    body = [
        f"<h1>{spaced(headline(summary))}</h1>",
        f'<p class="lead">{spaced(worth.told(summary))}</p>',
        f'<p class="soft">{spaced(saving(summary))}</p>',
        f'<p class="soft">{escape(_subtitle(summary))}</p>',
        *(f'<div class="warning" role="alert">{escape(note.text)}</div>' for note in told if note.grave),
        _tiles(summary),
        *(
            f"<h2>{escape(title)}</h2>{sheet_table(sheet, 'policy')}"
            for title, sheet in compared.items()
            if sheet.columns
        ),
        _absent(told),
        "<h2>Deployments</h2>",
        sheet_table(deployed, "deployment"),
        _baseline_deployments(summary),
        '<h2>Plots</h2><div class="plots">',
        *(picture(plot.title, plot.caption, (plot.svg, plot.png)) for plot in plots),
        "</div>",
        _certificate(summary),
        _counted(summary, told),
        _curves(summary),
        _configuration(summary, config_yaml),
        _footer(summary),
    ]
    return document(f"llmsim: {summary.get('policy')}", "\n".join(part for part in body if part))


def headline(summary: Summary) -> str:
    """What was chosen, what it cost, at what accuracy: one sentence."""
    served, queries = figures.count(summary.get("served")), figures.count(summary.get("queries"))
    method = summary.get("energy_method") or "method not stated"
    return (
        f"{policy_label(summary)} serves {served} of {queries} queries "
        f"with {figures.energy(summary.get('energy_active_j'))} of active energy "
        f"({figures.energy(summary.get('energy_j'))} with idle; {method}) "
        f"at {figures.percent(summary.get('accuracy_pct'))} accuracy."
    )


def saving(summary: Summary) -> str:
    """How that compares with the nearest baseline under the same bounds; empty when there is none."""
    against = nearest(summary)
    if against is None:
        return ""
    label, row = against
    parts = [
        f"{figures.percent(abs(saved))} {'less' if saved >= 0 else 'more'} {what} energy"
        for what in ("active", "total")
        if (saved := row.get(f"saving_{what}_pct")) is not None
    ]
    return (
        f"That is {' and '.join(parts)} than {label}, the nearest baseline that keeps the same bounds, "
        f"at {figures.percent(row.get('accuracy_pct'))} accuracy."
    )


def _subtitle(summary: Summary) -> str:
    workload = summary.get("workload") or {}
    said = [f"Workload {workload.get('name', 'not named')}"]
    if workload.get("source"):
        said.append(str(workload["source"]).rstrip(". "))
    said += [str(note).rstrip(". ") for note in workload.get("notes") or ()]
    return ". ".join(said) + "."


def _tiles(summary: Summary) -> str:
    latency, wait = summary.get("latency_s") or {}, summary.get("wait_s") or {}
    utilisation = summary.get("utilisation")
    shown = (
        (figures.energy(summary.get("energy_active_j")), "active energy"),
        (figures.energy(summary.get("energy_idle_j")), "idle energy"),
        (figures.energy(summary.get("energy_per_query_j")), "per query, idle included"),
        (figures.percent(summary.get("accuracy_pct")), "accuracy"),
        (figures.seconds(latency.get("p50")), "median latency"),
        (figures.seconds(latency.get("p99")), "latency, 99th percentile"),
        (figures.seconds(wait.get("p99")), "wait, 99th percentile"),
        (figures.percent(None if utilisation is None else 100 * utilisation), "utilisation"),
    )
    return f'<div class="tiles">{"".join(tile(*pair) for pair in shown)}</div>'


def _absent(told: Sequence[Note]) -> str:
    lines = [f"<p>{figures.ABSENT} {escape(note.text)}</p>" for note in told if note.about == "absent"]
    return f'<div class="soft">{"".join(lines)}</div>' if lines else ""


def _baseline_deployments(summary: Summary) -> str:
    tables = [
        f"<h3>{escape(label)}</h3>{sheet_table(rows.deployments(summary, row, detail=True), 'deployment')}"
        for label, row in summary.get("baselines", {}).items()
        if row.get("deployments")
    ]
    return (
        f"<details><summary>Deployments of the baselines</summary>{''.join(tables)}</details>"
        if tables
        else ""
    )


def _certificate(summary: Summary) -> str:
    lines = ["<h2>Certificate</h2>", f"<p>{escape(_sentence(proof.told(summary)))}</p>"]
    certificate = summary.get("certificate") or {}
    pairs = [(str(k).replace("_", " "), _plain(v)) for k, v in (certificate.get("constants") or {}).items()]
    lines.append(definitions(pairs))
    if certificate.get("bounds"):
        bounds = [
            (name, figures.count(low), "none" if high is None else figures.count(high))
            for name, (low, high) in certificate["bounds"].items()
        ]
        lines.append(text_table(("deployment", "at least (queries)", "at most (queries)"), bounds))
    return "\n".join(lines)


def _counted(summary: Summary, told: Sequence[Note]) -> str:
    pairs = [
        (note.about, note.text if note.about == "idle power" else _sentence(note.text))
        for note in told
        if note.about in {"energy", "idle power", "refused", "extrapolated"}
    ]
    return f"<h2>What is counted, and what is not</h2>{definitions(pairs)}"


def _curves(summary: Summary) -> str:
    curves = (summary.get("provenance") or {}).get("curves") or {}
    if not curves:
        return ""
    lines = []
    for name, curve in curves.items():
        error = curve.get("left_out_error") or {}
        forms = [(target, fitted["form"]) for target, fitted in (curve.get("curves") or {}).items()]
        ranges = [f"{key} {_range(span)}" for key, span in (curve.get("domain") or {}).items()]
        lines.append(
            (
                str(name),
                ", ".join(f"{target} {form}" for target, form in forms),
                f"energy {figures.percent(error.get('energy_mape_pct'))}, "
                f"runtime {figures.percent(error.get('runtime_mape_pct'))}",
                "; ".join(ranges) or figures.ABSENT,
                str(curve.get("source") or figures.ABSENT),
            )
        )
    headings = ("curve", "form", "error on left-out measurements", "measured range (tokens)", "source")
    return f"<h2>Curves</h2>{text_table(headings, lines)}"


def _configuration(summary: Summary, config_yaml: str) -> str:
    settings = [(str(k), _plain(v)) for k, v in (summary.get("policy_settings") or {}).items()]
    pairs = [("policy", str(summary.get("policy"))), *settings, ("seed", _plain(summary.get("seed")))]
    text = f"<h2>Configuration</h2>{definitions(pairs)}"
    if config_yaml:
        text += f"<details><summary>All of it, as YAML</summary><pre>{escape(config_yaml)}</pre></details>"
    return text


def _footer(summary: Summary) -> str:
    origin = summary.get("provenance") or {}
    said = [f"llmsim {summary.get('llmsim_version') or origin.get('llmsim_version') or ''}".strip()]
    said += [
        f"{what} {origin[key]}"
        for key, what in (("git_revision", "revision"), ("config_sha256", "configuration"))
        if origin.get(key)
    ]
    return f"<footer>{escape(' · '.join(said))}</footer>"


def _range(span: object) -> str:
    if isinstance(span, Sequence) and not isinstance(span, str) and len(span) == 2:
        return f"{_plain(span[0])} to {_plain(span[1])}"
    return _plain(span)


def _plain(value: object) -> str:
    """A setting as it is read: numbers short, nothing as a dash."""
    if value is None:
        return figures.ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return figures.count(value)
    if not isinstance(value, float):
        return str(value)
    text = figures.number(value, 6)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
