"""The hybrid study, shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmsim.report import figures
from llmsim.report.grid import Grid
from llmsim.report.panels import Line, Panel, draw_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
Tables = Mapping[str, Sequence[Record]]
PRINTED, SOUND, FITTING, GPU_ONLY = "printed", "without short runs", "fitting", "fitting, GPU only"
COLOURS = {PRINTED: "#D55E00", SOUND: "#E69F00", FITTING: "#009E73", GPU_ONLY: "#0072B2"}
# The keys of a threshold that are drawn and told of.
KEYS = {"tau_in": "prompt tokens", "tau_out": "generated tokens"}


def findings(tables: Tables, names: Sequence[str], rule: int, error_pct: float) -> list[str]:
    """What the study says, by workload.

    Args:
        error_pct: of the small machine's energy curve that fits, on trials left out.
    """
    small, big = (name.partition("@")[2] for name in names)
    found = [
        f"The curve that fits {small} best errs by {error_pct:.1f} % in energy on trials that it has not "
        "seen: of savings much below that, these trials cannot tell the sign."
    ]
    for workload in dict.fromkeys(r["workload"] for r in tables["ideal"]):
        best = {r["curves"]: r for r in tables["ideal"] if (r["workload"], r["split"]) == (workload, "ideal")}
        turn = {(r["curves"], r["rule"]): r for r in tables["turns"] if r["workload"] == workload}
        wins = {way: f"{r['share_small_pct']:.1f} %" for way, r in best.items()}
        saves = {way: f"{r['saving_pct']:.2f} %" for way, r in best.items()}
        beyond_w = turn[FITTING, "ideal"]["turns_at_small_host_w"]
        if PRINTED in best:
            found.append(
                f"{workload}: by the curves as printed, {small} takes less energy than {big} for "
                f"{wins[PRINTED]} of the queries, and an ideal split saves {saves[PRINTED]} against {big} "
                "alone."
            )
        found.append(
            f"{workload}: by curves that fit, {small} takes less for {wins[FITTING]} of the queries, and the "
            f"split saves {saves[FITTING]}; nothing once {small} draws {beyond_w:.1f} W beyond what was "
            f"metered. With the GPUs alone counted on both sides it is {wins[GPU_ONLY]}, and "
            f"{saves[GPU_ONLY]}."
        )
        found += [
            _turning(turn[FITTING, key], f"{workload}: {key} <= {rule} on {small}", big) for key in KEYS
        ]
    return found


def _turning(r: Record, what: str, big: str) -> str:
    """One sentence on a rule, by curves that fit."""
    watts = r["turns_at_big_host_w"]
    if watts is None:
        return f"{what}: no query is so short."
    verb = "saves" if r["saving_pct"] > 0 else "costs"
    told = f"{what} {verb} {figures.percent(abs(r['saving_pct']), 2)} with the GPU of {big} alone"
    return (
        f"{told}; it saves from {watts:.0f} W of host on."
        if watts > 0
        else f"{told}, and more with its host."
    )


def grids(tables: Tables, names: Sequence[str], rule: int) -> list[Grid]:
    """Who wins, the best thresholds by host power, and where the answer turns."""
    small, big = (name.partition("@")[2] for name in names)
    return [
        _winners(tables["ideal"], small, big),
        _by_power(tables["hosts"], small, big),
        _turns(tables["turns"], small, big, rule),
    ]


def _winners(records: Sequence[Record], small: str, big: str) -> Grid:
    return Grid(
        "Hybrid: every query where it takes less energy",
        ("workload", "curves", "split", f"on {small}, %", "MJ", "mean runtime, s", "saving, %"),
        [(r["workload"], r["curves"], _split_name(r["split"], small, big), *_of_split(r)) for r in records],
        f"{small}: GPU and CPU metered, but in the last rows. {big}: GPU metered. Saving: against {big} "
        "alone. Without short runs: the printed form, without the five generations that ended early.",
        words=3,
    )


def _by_power(records: Sequence[Record], small: str, big: str) -> Grid:
    return Grid(
        f"Hybrid: with a host's watts added to {big}",
        ("workload", "host, W", "rule", "threshold", f"on {small}, %", "MJ", "mean runtime, s", "saving, %"),
        [
            (
                r["workload"],
                f"{r['big_host_w']:g}",
                r["rule"],
                "" if r["threshold"] is None else f"{r['threshold']:g}",
                *_of_split(r),
            )
            for r in records
            if r["curves"] == FITTING
        ],
        "By curves that fit. Best: the threshold that saves most, found exactly.",
        words=4,
    )


def _turns(records: Sequence[Record], small: str, big: str, rule: int) -> Grid:
    return Grid(
        f"Hybrid: where a threshold of {rule} turns",
        ("workload", "curves", "rule", f"on {small}, %", "saving, %", f"{big} host, W", f"{small} beyond, W"),
        [
            (
                r["workload"],
                r["curves"],
                _rule(r["rule"], rule),
                _number(r.get("share_small_pct"), 1),
                _number(r.get("saving_pct"), 2),
                _number(r.get("turns_at_big_host_w"), 1),
                _number(r.get("turns_at_small_host_w"), 1),
            )
            for r in records
        ],
        f"{big} host: watts of its host at which the rule saves nothing; it saves above, so that a "
        f"negative one says that it saves with the GPU alone. {small} beyond: watts beyond what was "
        "metered there at which the rule saves nothing; it costs above.",
        words=3,
    )


def _split_name(split: str, small: str, big: str) -> str:
    return split.replace("small", small).replace("big", big)


def charts(tables: Tables, names: Sequence[str]) -> dict[str, Callable[[Figure], tuple[str, str]]]:
    """Saving against threshold, by workload, and against the host's power."""
    small, big = (name.partition("@")[2] for name in names)
    workloads = list(dict.fromkeys(r["workload"] for r in tables["thresholds"]))
    found = {
        f"threshold_{workload}": _by_threshold(tables["thresholds"], workload, small, big)
        for workload in workloads
    }
    return found | {"host": _by_host(tables["hosts"], workloads, small, big)}


def _by_threshold(
    records: Sequence[Record], workload: str, small: str, big: str
) -> Callable[[Figure], tuple[str, str]]:
    def panel(key: str, value: str, label: str) -> Panel:
        """One figure against the threshold on one key, a line a curve."""
        lines = []
        for way, colour in COLOURS.items():
            rows = [r for r in records if (r["workload"], r["curves"], r["key"]) == (workload, way, key)]
            if not rows:
                continue
            lines.append(Line(way, [r["threshold"] for r in rows], [r[value] for r in rows], colour))
        return Panel(f"threshold ({KEYS[key]})", label, lines, ("log", "linear"))

    def draw(figure: Figure) -> tuple[str, str]:
        """Draw the panels; title and caption."""
        figure.set_size_inches(10.6, 4.3)
        draw_panels(
            figure,
            [
                panel("tau_in", "saving_pct", "energy saved (%)"),
                panel("tau_out", "saving_pct", "energy saved (%)"),
                panel("tau_out", "mean_runtime_s", "mean runtime of a query (s)"),
            ],
        )
        caption = (
            f"Queries up to the threshold go to {small}. Saved is against {big} alone, its GPU alone metered."
        )
        return f"{workload}: what a threshold saves, by each curve", caption

    return draw


def _by_host(
    records: Sequence[Record], workloads: Sequence[str], small: str, big: str
) -> Callable[[Figure], tuple[str, str]]:
    def panel(workload: str, value: str, label: str) -> Panel:
        """One figure of one workload against the host's power."""
        lines = []
        for way in (FITTING, GPU_ONLY):
            for rule, dashes in (("ideal", ()), ("best tau_out", (5.0, 2.0))):
                rows = [
                    r for r in records if (r["workload"], r["curves"], r["rule"]) == (workload, way, rule)
                ]
                watts, values = [r["big_host_w"] for r in rows], [r[value] for r in rows]
                lines.append(Line(f"{way}: {rule}", watts, values, COLOURS[way], dashes))
        return Panel(f"power of {big}'s host (W)", label, lines, title=workload)

    def draw(figure: Figure) -> tuple[str, str]:
        """Draw the panels; title and caption."""
        figure.set_size_inches(11.2, 4.5)
        draw_panels(
            figure,
            [
                panel(workload, value, label)
                for workload in workloads
                for value, label in (
                    ("saving_pct", "energy saved (%)"),
                    ("share_small_pct", f"queries on {small} (%)"),
                )
            ],
        )
        caption = (
            f"Saved against {big} alone with the same host. GPU only: {small}'s CPU is not counted either."
        )
        return "What the split saves depends on what of the big machine is counted", caption

    return draw


def _of_split(r: Record) -> tuple[str, ...]:
    return (
        f"{r['share_small_pct']:.1f}",
        f"{r['energy_j'] / 1e6:.3f}",
        f"{r['mean_runtime_s']:.1f}",
        _number(r["saving_pct"], 2),
    )


def _rule(rule: str, limit: int) -> str:
    if rule == "ideal":
        return rule
    return f"product <= {limit**2}" if rule == "product" else f"{rule} <= {limit}"


def _number(value: float | None, places: int) -> str:
    if value is None:
        return figures.ABSENT
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text
