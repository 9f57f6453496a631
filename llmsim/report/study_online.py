"""The online study, shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmsim.report import figures
from llmsim.report.grid import Grid
from llmsim.report.panels import Line, Panel, draw_panels
from llmsim.studies.online import NO_PAST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
Tables = Mapping[str, Sequence[Record]]
COLOURS = {"script": "#D55E00", "right": "#0072B2"}
DASHES: Mapping[str, tuple[float, ...]] = {
    "zeta_cost": (),
    "queue_aware": (5.0, 2.0),
    "own cost": (1.0, 1.5),
    "round_robin": (7.0, 2.0, 1.0, 2.0),
}
JOULES_PER_KWH = 3.6e6
# Of a wait of this many seconds it is said that there is none.
NO_WAIT_S = 0.01
# A model that has this part of the queries has nearly all.
MOSTLY = 0.999


def findings(tables: Tables, names: Sequence[str]) -> list[str]:
    """What the study says."""
    first = f"only {names[0]}"
    right = [r for r in tables["zeta"] if r["way"] == "right"]
    longest_s = max(r["mean_wait_s"] for r in right)
    return [
        *_waiting(tables, first),
        f"Done right, no policy's mean wait is longer than {figures.seconds(longest_s)} at "
        f"{right[0]['rate_per_s']:g} queries/s.",
        _chance(tables, names),
        _feedback(right, names),
    ]


def _waiting(tables: Tables, first: str) -> list[str]:
    """How long queries wait as the script did it, and what alone ends that."""
    waits_s = {(r["way"], r["policy"]): r["mean_wait_s"] for r in tables["corrections"]}
    script, *steps = list(dict.fromkeys(way for way, _ in waits_s))[:-1]
    if waits_s[script, first] < NO_WAIT_S:
        return [f"As its script did, no query waits where all go to {first.removeprefix('only ')}."]
    cured = [step.removeprefix("but ") for step in steps if waits_s[step, first] < NO_WAIT_S]
    return [
        f"As its script did, a query waits {waits_s[script, first]:.0f} s on average where all go to "
        f"{first.removeprefix('only ')}, and {waits_s[script, 'round_robin']:.1f} s where models take turns "
        f"(there, at {_who_waits(tables)}).",
        f"Of the script's defects, putting right one alone ends the former: {'; '.join(cured) or 'none'}.",
    ]


def _who_waits(tables: Tables) -> str:
    """The models at which round robin's queries wait, as the script did it."""
    script = next(r for r in tables["corrections"] if r["policy"] == "round_robin")
    found = [key.removeprefix("mean_wait_s ") for key in script if key.startswith("mean_wait_s ")]
    return ", ".join(name for name in found if (script[f"mean_wait_s {name}"] or 0.0) > NO_WAIT_S) or "none"


def _chance(tables: Tables, names: Sequence[str]) -> str:
    """What the script's router owes to what came before."""
    script = [r for r in tables["zeta"] if r["way"] == "script"]
    swept = [r for r in script if r["policy"] == "zeta_cost"][-1]
    fresh = next(r for r in script if r["policy"].startswith(NO_PAST))
    after, without = (
        f"{' / '.join(figures.count(r[f'queries {name}']) for name in names)} queries and "
        f"{r['energy_j'] / JOULES_PER_KWH:.0f} kWh"
        for r in (swept, fresh)
    )
    return (
        f"The script's router at zeta={swept['zeta']:g}: {after} after its sweep, {without} where nothing "
        "came before."
    )


def _feedback(right: Sequence[Record], names: Sequence[str]) -> str:
    """What accumulating costs does, once they are on one scale."""

    def mixed(policy: str) -> int:
        """Rows of a policy in which no deployment has nearly all queries."""
        rows = [r for r in right if r["policy"] == policy]
        return sum(1 for r in rows if max(r[f"queries {name}"] for name in names) < MOSTLY * _total(r, names))

    values = len({r["zeta"] for r in right if r["zeta"] is not None})
    return (
        "Least accumulated cost feeds on itself once costs are on one scale: where accuracy makes them "
        "negative, the model that has most has the least. It sends nearly all queries to one model at "
        f"{values - mixed('zeta_cost')} of {values} values of zeta; a query's own cost alone does at "
        f"{values - mixed('own cost')}."
    )


def _total(r: Record, names: Sequence[str]) -> int:
    return sum(r[f"queries {name}"] for name in names)


def grids(tables: Tables, names: Sequence[str]) -> list[Grid]:
    """Each defect alone, by zeta, and by rate."""
    note = (
        f"Queries of {', '.join(name.partition('@')[0] for name in names)}. Latency is waiting and runtime, "
        "which the thesis calls service time. The script's way is judged by the curves as printed, as it was."
    )
    queries, some = _total(tables["zeta"][0], names), _total(tables["rate"][0], names)
    zeta = next(r["zeta"] for r in tables["rate"] if r["zeta"] is not None)
    return [
        Grid(
            f"Online, {queries:,} queries: what makes the script's queries wait",
            ("the script", "policy", "mean wait, s", "longest, s", "mean latency, s"),
            [
                (r["way"], _policy(r), _s(r["mean_wait_s"]), _s(r["longest_wait_s"]), _s(r["mean_latency_s"]))
                for r in tables["corrections"]
            ],
            "Each defect is put right alone, then all.",
            words=2,
        ),
        Grid(
            f"Online, {queries:,} queries, {tables['zeta'][0]['rate_per_s']:g} a second",
            ("way", "policy", "zeta", *_HEAD),
            [(r["way"], _policy(r), _zeta(r), *_cells(r, names)) for r in tables["zeta"]],
            note,
            words=3,
        ),
        Grid(
            f"Online, {some:,} queries by rate of arrivals",
            ("way", "policy", "queries/s", *_HEAD),
            [(r["way"], _policy(r), f"{r['rate_per_s']:g}", *_cells(r, names)) for r in tables["rate"]],
            f"At zeta={zeta:g}.",
            words=3,
        ),
    ]


_HEAD = ("queries", "kWh", "accuracy, %", "mean wait, s", "mean latency, s")


def charts(tables: Tables) -> dict[str, Callable[[Figure], tuple[str, str]]]:
    """Energy, accuracy and wait against zeta; the same against the rate of arrivals."""

    def by_zeta(figure: Figure) -> tuple[str, str]:
        """Draw the figures over zeta; title and caption."""
        figure.set_size_inches(10.6, 4.5)
        label = "zeta (1: energy alone)"
        _three(figure, [r for r in tables["zeta"] if r["zeta"] is not None], "zeta", label, "linear")
        caption = (
            "Script: as its script did, by its curves. Right: curves that fit, a queue, the stated rate. The "
            "axis of waits is linear up to 0.01 s, then logarithmic."
        )
        return "The online study over zeta, as its script did it and as it should be", caption

    def by_rate(figure: Figure) -> tuple[str, str]:
        """Draw the figures over the rate; title and caption."""
        figure.set_size_inches(10.6, 4.5)
        _three(figure, tables["rate"], "rate_per_s", "queries a second", "log")
        caption = "The same queries at each rate; the script takes ten at each of so many ticks a second."
        return "The online study over the rate of arrivals", caption

    return {"zeta": by_zeta, "rate": by_rate}


def _three(figure: Figure, records: Sequence[Record], key: str, label: str, scale: str) -> None:
    panels = []
    for value, unit, what, y_scale in (
        ("energy_j", JOULES_PER_KWH, "energy (kWh)", "log"),
        ("accuracy_pct", 1.0, "accuracy (%, token-weighted)", "linear"),
        ("mean_wait_s", 1.0, "mean wait (s)", "symlog"),
    ):
        lines = []
        for way, colour in COLOURS.items():
            for policy, dashes in DASHES.items():
                rows = [r for r in records if (r["way"], r["policy"]) == (way, policy)]
                if rows:
                    x, y = [r[key] for r in rows], [r[value] / unit for r in rows]
                    lines.append(Line(f"{way}: {policy}", x, y, colour, dashes))
        panels.append(Panel(label, what, lines, (scale, y_scale)))
    draw_panels(figure, panels)


def _cells(r: Record, names: Sequence[str]) -> tuple[str, ...]:
    return (
        " / ".join(figures.count(r[f"queries {name}"]) for name in names),
        f"{r['energy_j'] / JOULES_PER_KWH:.1f}",
        f"{r['accuracy_pct']:.2f}",
        _s(r["mean_wait_s"]),
        _s(r["mean_latency_s"]),
    )


def _s(value: float) -> str:
    """Seconds, those under one with two digits."""
    if value == 0:
        return "0"
    return f"{value:.2g}" if value < 1 else f"{value:,.1f}"


def _policy(r: Record) -> str:
    return str(r["policy"]).replace("_", " ").partition("@")[0]


def _zeta(r: Record) -> str:
    return figures.ABSENT if r["zeta"] is None else f"{r['zeta']:g}"
