"""The curves of the paper and of its companion as printed: fitted to the rows that they were fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import Cost, FloatArray, IntArray
from llmsim.curves.domain import Domain
from llmsim.curves.interaction import Interaction
from llmsim.errors import InputError
from llmsim.trials.shipped import wilkins2024
from llmsim.trials.wilkins_author import author_rows

SWING, M1_PRO = "swing-a100", "m1-pro"


@dataclass(frozen=True)
class PrintedCurve:
    """`c0*tau_in + c1*tau_out + c2*tau_in*tau_out` for joules and seconds; satisfies `QueryCurve`.

    No standard error was printed, so none is known: those of `cost` are NaN.

    Attributes:
        energy, runtime: c0, c1, c2 of each.
        domain: the tokens that were measured.
    """

    energy: tuple[float, float, float]
    runtime: tuple[float, float, float]
    domain: Domain

    def cost(self, tau_in: IntArray, tau_out: IntArray) -> Cost:
        """Cost of serving each query alone; arrays of equal shape (n,), tokens at least 1."""
        terms = Interaction().design(tau_in, tau_out).features
        unknown = np.full(len(terms), np.nan)
        outside = self.domain.outside(np.atleast_1d(tau_in), np.atleast_1d(tau_out))
        return Cost(
            terms @ np.array(self.runtime), unknown, terms @ np.array(self.energy), unknown.copy(), outside
        )


def printed_curve(system: str, model: str) -> PrintedCurve:
    """The curve as printed: of a model on Swing (the thesis), or of Llama-2 7B on the M1 Pro (the companion).

    Raises:
        InputError: no curve of this pair was printed.
    """
    if system == SWING:
        rows = author_rows()
        own = rows.take(rows.model == model)
        if len(own.model):
            return _fitted(own.tau_in, own.tau_out, own.energy_j, own.runtime_s)
    elif system == M1_PRO and model == "llama2-7b":
        # All 89 rows, the first call after each load and five generations that ended early included.
        grid = wilkins2024().where(system=system, model=model, experiment="independence")
        return _fitted(grid["tau_in"], grid["tau_out"], grid["energy_j"], grid["runtime_s"])
    raise InputError(
        f"The paper printed no curve of {model} on {system}: it has those of seven models on {SWING} "
        f"(hardware=a100), and the companion has llama2-7b on {M1_PRO}."
    )


def _fitted(tau_in: IntArray, tau_out: IntArray, energy_j: FloatArray, runtime_s: FloatArray) -> PrintedCurve:
    """The three-term fits of both columns, shape (n,) each, by ordinary least squares."""
    form = Interaction()
    design = form.design(tau_in, tau_out)
    (e0, e1, e2), (r0, r1, r2) = (form.start(design, column).tolist() for column in (energy_j, runtime_s))
    return PrintedCurve((e0, e1, e2), (r0, r1, r2), Domain.of(("tau_in", "tau_out"), tau_in, tau_out))
