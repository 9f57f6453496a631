"""Do prompt and answer interact in their effect on energy and runtime? Two-way analyses of variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.curves.form import FloatArray

NAMES: Mapping[str, str] = {
    "C(tau_in)": "tau_in",
    "C(tau_out)": "tau_out",
    "C(tau_in):C(tau_out)": "tau_in:tau_out",
    "C(model)": "model",
    "product": "tau_in:tau_out",
    "Residual": "residual",
}


@dataclass(frozen=True)
class Effect:
    """One line of an analysis of variance (type II).

    Attributes:
        factor: tau_in, tau_out, tau_in:tau_out (their interaction), model, or residual.
        df: degrees of freedom.
        sum_sq: sum of squares, in the square of the analysed unit.
        f, p: the test's statistic and probability; None for the residual.
        partial_eta2: share of the variance that no other factor explains; None for the residual.
    """

    factor: str
    df: int
    sum_sq: float
    f: float | None
    p: float | None
    partial_eta2: float | None


def pooled(tau_in: IntArray, tau_out: IntArray, measured: FloatArray) -> list[Effect]:
    """All trials as one sample, both factors categorical, with their interaction: the thesis' Table 5.1.

    Over models of very different size the residual is the difference between models, and the test has no
    power: see `pooled_log`.

    Args:
        tau_in, tau_out: levels, shape (n,), with several trials in a cell.
        measured: joules or seconds, shape (n,).
    """
    data = {"tau_in": tau_in, "tau_out": tau_out, "y": measured}
    return _analyse("y ~ C(tau_in) * C(tau_out)", data)


def pooled_log(model: Any, tau_in: IntArray, tau_out: IntArray, measured: FloatArray) -> list[Effect]:
    """All models on a log scale with the model as a factor: sizes become offsets, and the test has power.

    Args:
        model: each trial's model, shape (n,); the others as in `pooled`.
    """
    data = {"model": model, "tau_in": tau_in, "tau_out": tau_out, "y": np.log(measured)}
    return _analyse("y ~ C(model) + C(tau_in) * C(tau_out)", data)


def of_model(tau_in: IntArray, tau_out: IntArray, measured: FloatArray, log: bool = False) -> list[Effect]:
    """One model: main effects by level, the interaction by the product of both, one degree of freedom.

    With one trial in a cell the full interaction would leave no residual; the product (Tukey's kind of test)
    leaves one and asks whether the effect of one grows in proportion to the other.

    Args:
        log: analyse the log of energy or runtime against the product of the logs.
    """
    x, z = (np.log2(v) if log else np.asarray(v, dtype=np.float64) for v in (tau_in, tau_out))
    product = (x - x.mean()) * (z - z.mean())
    y = np.log(measured) if log else measured
    data = {"tau_in": tau_in, "tau_out": tau_out, "product": product / np.abs(product).max(), "y": y}
    return _analyse("y ~ C(tau_in) + C(tau_out) + product", data)


def _analyse(formula: str, data: dict[str, Any]) -> list[Effect]:
    """Type II sums of squares: each effect beside all that do not contain it, in whatever order."""
    import pandas
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    table = anova_lm(ols(formula, data=pandas.DataFrame(data)).fit(), typ=2)
    residual = float(table.loc["Residual", "sum_sq"])
    effects = []
    for label, row in table.iterrows():
        last = label == "Residual"
        sum_sq = float(row["sum_sq"])
        effects.append(
            Effect(
                NAMES[str(label)],
                round(float(row["df"])),
                sum_sq,
                None if last else float(row["F"]),
                None if last else float(row["PR(>F)"]),
                None if last else sum_sq / (sum_sq + residual),
            )
        )
    return effects
