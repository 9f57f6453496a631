"""The offline case study, shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmsim.report import figures
from llmsim.report.grid import Grid
from llmsim.report.panels import Line, Panel, draw_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
COLOURS = {"script": "#D55E00", "equations": "#0072B2", "fitting": "#009E73"}
BASELINES = {"round_robin": (5.0, 2.0), "random": (1.0, 1.5)}
GREY = "#6B7280"
WAYS = {
    "script": "as its script computed it",
    "equations": "as its equations say",
    "fitting": "curves that fit",
}


def grids(records: Sequence[Record], names: Sequence[str]) -> list[Grid]:
    """One table a number of queries.

    Args:
        names: of the deployments.
    """
    return [_grid(of, n, names) for n, of in _by_size(records).items()]


def findings(records: Sequence[Record], names: Sequence[str]) -> list[str]:
    """What the case study says, from its largest number of queries."""
    n, of = list(_by_size(records).items())[-1]
    script, equations, fitting = ([r for r in of if r["way"] == way] for way in WAYS)
    last, worst = script[-1], max(script, key=lambda r: r["saving_left_pct"])
    only = next(r for r in of if r["way"] == f"only {names[0]}")
    low, high, mean = (figures.energy(last[f"{which}energy_fitting_j"]) for which in ("least_", "most_", ""))
    times = only["energy_printed_j"] / only["energy_fitting_j"]
    printed, fit = max(
        zip(equations, fitting, strict=True),
        key=lambda two: abs(two[0]["accuracy_pct"] - two[1]["accuracy_pct"]),
    )
    return [
        f"The script's cost is one a model, the sum over all queries: over {len(script)} values of zeta, {n} "
        f"queries take {_divisions(script, names)} divisions among the models. By the equations they take "
        f"{_divisions(equations, names)}, and with curves that fit {_divisions(fitting, names)}.",
        "It settles how many queries each model gets, and leaves open which. At "
        f"zeta={last['zeta']:g} that is anything from {low} to {high}, and {mean} to be expected.",
        "At no less accuracy and within the same bounds, the best plan takes up to "
        f"{worst['saving_left_pct']:.0f} % less energy than is to be expected of the script's (zeta="
        f"{worst['zeta']:g}).",
        f"By the curves as printed, {names[0]} serves all queries with "
        f"{figures.energy(only['energy_printed_j'])}; by those that fit, with "
        f"{figures.energy(only['energy_fitting_j'])}: printed is {times:.1f} times as much.",
        f"The same equations choose otherwise by other curves: most at zeta={printed['zeta']:g}, where the "
        f"printed ones lead to an accuracy of {printed['accuracy_pct']:.1f} % and those that fit to "
        f"{fit['accuracy_pct']:.1f} %.",
    ]


def charts(records: Sequence[Record]) -> dict[str, Callable[[Figure], tuple[str, str]]]:
    """A plot a number of queries: energy, runtime and accuracy against zeta."""
    found: dict[str, Callable[[Figure], tuple[str, str]]] = {}
    for n, of in _by_size(records).items():
        found[f"zeta_{n}"] = _chart(of, n)
    return found


def _chart(of: Sequence[Record], n: int) -> Callable[[Figure], tuple[str, str]]:
    def draw(figure: Figure) -> tuple[str, str]:
        """Draw the panels; title and caption."""
        figure.set_size_inches(10.6, 4.3)
        draw_panels(
            figure,
            [
                _panel(of, "energy_fitting_j", "energy (MJ)", 1e6, "log"),
                _panel(of, "mean_runtime_fitting_s", "mean runtime of a query (s)", 1.0, "log"),
                _panel(of, "accuracy_pct", "accuracy (%, token-weighted)", 1.0, "linear"),
            ],
        )
        caption = (
            "All by the curves that fit, whatever the plan was chosen by. The band is what the counts of the "
            "script may take, as it leaves open which queries fill them."
        )
        return f"The offline case study with {n} queries, three ways", caption

    return draw


def _panel(of: Sequence[Record], key: str, label: str, unit: float, scale: str) -> Panel:
    lines = []
    for way, name in WAYS.items():
        rows = [r for r in of if r["way"] == way]
        zetas, values = [r["zeta"] for r in rows], [r[key] / unit for r in rows]
        band: tuple[Any, ...] = ()
        if way == "script" and key == "energy_fitting_j":
            band = tuple([r[f"{which}_{key}"] / unit for r in rows] for which in ("least", "most"))
        lines.append(Line(name, zetas, values, COLOURS[way], band=band))
    for way, dashes in BASELINES.items():
        row = next(r for r in of if r["way"] == way)
        lines.append(Line(way.replace("_", " "), [], [row[key] / unit], GREY, dashes))
    return Panel("zeta (1: energy alone)", label, lines, ("linear", scale))


def _grid(of: Sequence[Record], n: int, names: Sequence[str]) -> Grid:
    rows = []
    for r in of:
        printed, fitting = (
            (f"{r[f'energy_{by}_j'] / 1e6:.3f}", f"{r[f'mean_runtime_{by}_s']:.1f}")
            for by in ("printed", "fitting")
        )
        left = r["saving_left_pct"]
        rows.append(
            [
                r["way"].replace("_", " ").partition("@")[0],
                figures.ABSENT if r["zeta"] is None else f"{r['zeta']:g}",
                " / ".join(figures.count(r[f"queries {name}"]) for name in names),
                f"{r['accuracy_pct']:.2f}",
                *(printed[0], fitting[0], printed[1], fitting[1]),
                figures.ABSENT if left is None else f"{left:.1f}",
            ]
        )
    head = (
        "way", "zeta", "queries", "accuracy, %", "MJ, printed", "MJ, fitting", "mean s, printed",
        "mean s, fitting", "saving left, %",
    )  # fmt: skip
    note = (
        f"Queries of {', '.join(name.partition('@')[0] for name in names)}. Of the script's way the figures "
        "are those to be expected, whichever queries fill its counts. Printed, fitting: the curves that a "
        "plan is judged by. Saving left: how much less energy the best plan within the bounds takes at no "
        "less accuracy, by the curves that fit."
    )
    return Grid(f"Offline, {n} queries", head, rows, note, words=2)


def _divisions(rows: Iterable[Record], names: Sequence[str]) -> int:
    return len({tuple(r[f"queries {name}"] for name in names) for r in rows})


def _by_size(records: Sequence[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record["queries"], []).append(record)
    return found
