"""A comparison of simulated with measured runs as tables of texts: for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsim.report import figures
from llmsim.report.fidelity_summary import broken
from llmsim.report.figures import ENERGY, TIME, Ladder
from llmsim.report.grid import Grid

Summary = Mapping[str, Any]
# Figures of a row that are told with both sides: key, heading, units.
TOLD: Sequence[tuple[str, str, Ladder]] = (
    ("energy_active_j", "energy", ENERGY),
    ("makespan_s", "makespan", TIME),
    ("serving_s", "serving", TIME),
)
# Figures of which the gap alone is told.
GAPS = (
    "ttft_s.mean", "ttft_s.p99", "tpot_s.mean", "tpot_s.p99",
    "latency_s.mean", "latency_s.p50", "latency_s.p90", "latency_s.p99",
)  # fmt: skip
PARTS = {
    "curve": "curve", "curve_prefill": "of it prefill", "curve_decode": "of it decode",
    "overhead": "overhead", "scheduling": "scheduling", "choices": "choices",
}  # fmt: skip
MEASURES = {"energy_active_j": "active energy", "serving_s": "serving", "makespan_s": "makespan"}
FAILED = "Not as it is held to be:"
GAP_NOTE = "Gaps are (simulated - measured) / measured."
PARTS_NOTE = (
    "Per cent of the measured figure; curve + overhead + scheduling + choices = the gap. Curve: what the "
    "curves err on the pieces that were measured. Scheduling: the simulator forms other pieces. Choices: the "
    "policy chooses otherwise."
)


def signed(value: float | None, places: int = 2) -> str:
    """A gap in per cent, with its sign."""
    if value is None:
        return figures.ABSENT
    text = f"{value:+.{places}f}".replace("-", "−")
    return text if text.strip("+−0.") else f"{0:.{places}f}"


def gap(value: float | None) -> str:
    """The same with its unit."""
    return figures.ABSENT if value is None else f"{signed(value)} %"


def sides(summary: Summary) -> Grid:
    """Each row's figures, measured and simulated."""
    headings = ["policy"]
    for key, name, _ in TOLD:
        had = summary["energy_method"] if key == "energy_active_j" else "measured"
        headings += [f"{name}, {had}", "simulated", "%"]
    rows = []
    for label, row in summary["rows"].items():
        cells = [label]
        for key, _, ladder in TOLD:
            cells += [figures.quantity(row[side][key], ladder) for side in ("measured", "simulated")]
            cells.append(signed(row["gap_pct"][key]))
        rows.append(cells)
    return Grid("Simulated against measured", headings, rows, GAP_NOTE, together=3)


def services(summary: Summary) -> Grid:
    """The gaps of latencies."""
    headings = ["policy", *(_short(key) for key in GAPS), "same choices, %"]
    rows = [
        [label, *(signed(row["gap_pct"][key]) for key in GAPS), f"{row['same_choices_pct']:.1f}"]
        for label, row in summary["rows"].items()
    ]
    return Grid("Gaps of service, %", headings, rows)


def parts(summary: Summary) -> Grid:
    """What each gap is made of."""
    rows = []
    for label, row in summary["rows"].items():
        for key, name in MEASURES.items():
            found = row["parts"][key]
            if found is None:
                continue
            shares = [_share(found, part) for part in PARTS]
            rows.append([label, name, *shares, signed(row["gap_pct"][key])])
    headings = ("policy", "of", *PARTS.values(), "gap")
    return Grid("What the gaps are made of", headings, rows, PARTS_NOTE, words=2)


def deployments(summary: Summary) -> Grid:
    """Active energy and service of each row's deployments."""
    headings = (
        "policy", "deployment", "queries", f"energy, {summary['energy_method']}", "simulated", "%",
        "curve, %", "TTFT, %", "TPOT, %", "latency, %",
    )  # fmt: skip
    rows = []
    for label, row in summary["rows"].items():
        for name, item in row["deployments"].items():
            gaps, energy = item["gap_pct"], item["parts"]["energy_active_j"]
            rows.append(
                [
                    label,
                    name,
                    figures.count(item["measured"]["served"]),
                    *(figures.energy(item[side]["energy_active_j"]) for side in ("measured", "simulated")),
                    signed(gaps["energy_active_j"]),
                    figures.ABSENT if energy is None else _share(energy, "curve"),
                    *(signed(gaps[f"{key}.mean"]) for key in ("ttft_s", "tpot_s", "latency_s")),
                ]
            )
    note = "Curve: its part of the energy's gap. Times: gaps of means."
    return Grid("By deployment", headings, rows, note, words=2)


def pairs(summary: Summary) -> Grid:
    """Whether policies rank alike."""
    rows = []
    for pair in summary["ranking"]["pairs"]:
        rows.append(
            [
                f"{pair['second']} − {pair['first']}",
                figures.energy(pair["measured"]),
                figures.ABSENT if pair["half_width"] is None else f"± {figures.energy(pair['half_width'])}",
                figures.energy(pair["simulated"]),
                _verdict(pair),
            ]
        )
    source = summary["ranking"]["interval_source"]
    note = f"Interval: {source}." if source else "The interval of a measured energy is not known."
    headings = ("active energy", summary["energy_method"], "interval", "simulated", "rank")
    return Grid("Ranking of policies", headings, rows, note)


def findings(summary: Summary) -> list[str]:
    """What the comparison says, a sentence each."""
    label, row = next(iter(summary["rows"].items()))
    gaps = {key: gap(value) for key, value in row["gap_pct"].items()}
    told = [
        f"{label}: active energy {gaps['energy_active_j']}, makespan {gaps['makespan_s']}, mean TTFT "
        f"{gaps['ttft_s.mean']}, mean TPOT {gaps['tpot_s.mean']}, latency p99 {gaps['latency_s.p99']} from "
        "measured."
    ]
    if summary["energy_method"] != "measured":
        told.append(
            f"The joules beside the simulated ones are {summary['energy_method']} "
            f"({summary['energy_scope']}), not measured."
        )
    alike = summary["ranking"]["alike"]
    if alike is not None:
        otherwise = "policies rank alike" if alike else "not all policies rank alike"
        told.append(f"Wherever the measured difference exceeds its interval, {otherwise}.")
    if summary["targets"]:
        failed = broken(summary)
        told += [f"{FAILED} {text}." for text in failed] or ["All gaps are within their targets."]
    return told


def show(summary: Summary, console: Any) -> None:
    """Print what it says, the tables, why figures are absent, and what to know of how they were had."""
    for sentence in findings(summary):
        console.print(f"- {sentence}", highlight=False, markup=False)
    for grid in (sides(summary), services(summary), parts(summary), pairs(summary)):
        if grid.rows:
            console.print()
            grid.show(console)
    told = [*reasons(summary), *summary["notes"]]
    if told:
        console.print()
    for sentence in told:
        console.print(f"- {sentence}", highlight=False, markup=False)


def reasons(summary: Summary) -> list[str]:
    """Why figures of whole rows are absent, a sentence each."""
    found: dict[tuple[str, str], list[str]] = {}
    for label, row in summary["rows"].items():
        for key, why in row["absent"].items():
            if not key.startswith("deployments."):
                found.setdefault((key, why), []).append(label)
    return [f"Absent: {key} of {', '.join(labels)}: {why}." for (key, why), labels in found.items()]


def _verdict(pair: Mapping[str, Any]) -> str:
    alike = "alike" if pair["alike"] else "otherwise"
    if pair["exceeds"] is None:
        return f"{alike}, interval not known"
    return alike if pair["exceeds"] else f"{alike}, within the interval"


def _share(found: Mapping[str, Any], part: str) -> str:
    if part not in found or not found["measured"]:
        return figures.ABSENT
    return signed(100.0 * found[part] / found["measured"])


def _short(key: str) -> str:
    name, _, rank = key.partition(".")
    return f"{name.removesuffix('_s').replace('ttft', 'TTFT').replace('tpot', 'TPOT')} {rank}"
