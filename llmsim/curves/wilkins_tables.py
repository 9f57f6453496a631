"""Tables 5.1 to 5.3 of Wilkins' thesis, worked out again from the trials, beside what was printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from llmsim.curves import anova
from llmsim.curves.form import FloatArray
from llmsim.curves.interaction import Interaction
from llmsim.trials.wilkins_author import SEVEN_B, AuthorRows, author_rows, printed

Record = dict[str, Any]
UNITS: Mapping[str, str] = {"energy": "J", "runtime": "s"}
COEFFICIENTS = ("c0", "c1", "c2")  # of tau_in, tau_out and their product; a or b in the thesis
MISPRINTS: Mapping[tuple[str, str, str], str] = {
    ("mistral-7b", "runtime", "c2"): "misprint: the table repeats the coefficient of tau_out"
}
# Which rows of Table 5.3 the thesis took from a fit with an intercept, though Table 5.2 has none.
WITH_INTERCEPT = ("falcon-7b", "mistral-7b", "mixtral-8x7b")


def table_5_1(rows: AuthorRows | None = None) -> list[Record]:
    """Analyses of variance: the three 7B models that the table pools, all seven, and all seven on the log.

    The printed numbers are not shipped. The text says "all models"; the table is the three 7B models.
    """
    rows = rows or author_rows()
    seven_b = rows.take(np.isin(rows.model, SEVEN_B))
    records = []
    for target in UNITS:
        samples = {
            "three 7B models (the table)": anova.pooled(
                seven_b.tau_in, seven_b.tau_out, _measured(seven_b, target)
            ),
            "all seven (what the text says)": anova.pooled(
                rows.tau_in, rows.tau_out, _measured(rows, target)
            ),
            "all seven, log, model a factor (better)": anova.pooled_log(
                rows.model, rows.tau_in, rows.tau_out, _measured(rows, target)
            ),
        }
        for sample, effects in samples.items():
            records += [{"target": target, "sample": sample, **vars(effect)} for effect in effects]
    return records


def table_5_1_by_model(rows: AuthorRows | None = None) -> list[Record]:
    """The interaction in each model alone, which pooling hides; plain and on the log."""
    rows = rows or author_rows()
    records = []
    for target in UNITS:
        for model in np.unique(rows.model).tolist():
            of = rows.take(rows.model == model)
            for log in (False, True):
                effects = anova.of_model(of.tau_in, of.tau_out, _measured(of, target), log)
                test = next(effect for effect in effects if effect.factor == "tau_in:tau_out")
                records.append({"target": target, "model": model, "log": log, **vars(test)})
    return records


def table_5_2(rows: AuthorRows | None = None) -> list[Record]:
    """Each coefficient of the three-term fits without an intercept, ours and printed."""
    rows = rows or author_rows()
    records = []
    for row, model, target, of in _rows_of_print(rows):
        design = Interaction().design(of.tau_in, of.tau_out)
        theta = Interaction().start(design, _measured(of, target))
        for name, value in zip(COEFFICIENTS, theta.tolist(), strict=True):
            agrees = agrees_with_print(value, row[name])
            note = "" if agrees else MISPRINTS.get((model, target, name), "differs")
            records.append(
                {
                    "model": model,
                    "target": target,
                    "coefficient": name,
                    "ours": value,
                    "printed": row[name],
                    "agrees": agrees,
                    "note": note,
                }
            )
    return records


def table_5_3(rows: AuthorRows | None = None) -> list[Record]:
    """R2 and F of the fits with and without an intercept, and which of them was printed."""
    rows = rows or author_rows()
    records = []
    for row, model, target, of in _rows_of_print(rows):
        features = Interaction().design(of.tau_in, of.tau_out).features
        measured = _measured(of, target)
        without, with_one = _quality(features, measured, False), _quality(features, measured, True)
        intercept = model in WITH_INTERCEPT
        ours = with_one if intercept else without
        agrees = [agrees_with_print(value, row[key]) for value, key in zip(ours, ("r2", "f"), strict=True)]
        note = "with an intercept, unlike Table 5.2" if intercept else ""
        if not agrees[0]:
            note = "; ".join(filter(None, [note, f"misprint: R2 should read {ours[0]:.3f}"]))
        records.append(
            {
                "model": model,
                "target": target,
                "n": len(measured),
                "intercept": intercept,
                "r2": ours[0],
                "r2_printed": row["r2"],
                "r2_agrees": agrees[0],
                "f": ours[1],
                "f_printed": row["f"],
                "f_agrees": agrees[1],
                "r2_other_setting": (without if intercept else with_one)[0],
                "f_other_setting": (without if intercept else with_one)[1],
                "mape_pct": _mape_pct(features, measured),
                "note": note,
            }
        )
    return records


def agrees_with_print(value: float, text: str) -> bool:
    """Whether a number rounds to the printed one: within half a unit of its last digit."""
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) <= 0.5 * 10.0**-digits * (1 + 1e-9)


def _rows_of_print(rows: AuthorRows) -> Iterator[tuple[dict[str, str], str, str, AuthorRows]]:
    """Each printed row with its model, its target, and the trials that it was made from."""
    for row in printed():
        model, target = row["model"], row["target"]
        yield row, model, target, rows.take(rows.model == model)


def _measured(rows: AuthorRows, target: str) -> FloatArray:
    """Joules or seconds, shape (n,)."""
    return rows.energy_j if target == "energy" else rows.runtime_s


def _residuals(features: FloatArray, measured: FloatArray) -> FloatArray:
    """What ordinary least squares over the features (n, p) leaves of each trial, shape (n,)."""
    theta, *_ = np.linalg.lstsq(features, measured, rcond=None)
    return np.asarray(measured - features @ theta)


def _quality(features: FloatArray, measured: FloatArray, intercept: bool) -> tuple[float, float]:
    """R2 (about the mean with an intercept, about 0 without) and the F statistic of all three terms."""
    n, p = features.shape
    centre = measured.mean() if intercept else 0.0
    columns = np.column_stack([features, np.ones(n)]) if intercept else features
    residual = _residuals(columns, measured)
    r2 = 1 - float(residual @ residual) / float((measured - centre) @ (measured - centre))
    return r2, r2 / p / ((1 - r2) / (n - columns.shape[1]))


def _mape_pct(features: FloatArray, measured: FloatArray) -> float:
    """Mean absolute error of the fit without an intercept, percent of what was measured."""
    return float(100 * np.mean(np.abs(_residuals(features, measured) / measured)))
