"""What a router predicts of each query: length, joules and seconds, priced in bulk before they are asked."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.random import Generator

from llmsim.curves.cost import FloatArray, IntArray
from llmsim.errors import InputError
from llmsim.fleet.prices import Prices, distinct_pairs
from llmsim.policies.predictors import Learning, PerQuery

# A learnt length is rounded to this many steps an octave, so that few lengths are ever priced.
_STEPS_PER_OCTAVE = 16


class Table:
    """Joules and seconds of (tau_in, predicted tau_out) pairs on each deployment, row by row."""

    def __init__(self, prices: Prices, tau_in: IntArray, tau_out: IntArray) -> None:
        costs = [item.price(tau_in, tau_out) for item in prices.deployments]
        self._names = [item.name for item in prices.deployments]
        self._energy_j = [cost.energy_j for cost in costs]
        self._runtime_s = [cost.runtime_s for cost in costs]
        self._energy_rows: FloatArray | None = None
        self._runtime_rows: FloatArray | None = None

    def energy_j(self, row: int) -> list[float]:
        """Joules on each deployment.

        Raises:
            InputError: one has no energy curve.
        """
        if self._energy_rows is None:
            self._energy_rows = self._rows(self._energy_j, "energy")
        values: list[float] = self._energy_rows[row].tolist()
        return values

    def runtime_s(self, row: int) -> list[float]:
        """Seconds on each deployment, at least 0.

        Raises:
            InputError: one has no runtime curve.
        """
        if self._runtime_rows is None:
            self._runtime_rows = np.maximum(self._rows(self._runtime_s, "runtime"), 0.0)
        values: list[float] = self._runtime_rows[row].tolist()
        return values

    def _rows(self, columns: list[FloatArray | None], what: str) -> FloatArray:
        """A row a pair, a column a deployment; raises InputError where one has no curve."""
        for name, column in zip(self._names, columns, strict=True):
            if column is None:
                raise InputError(f"{name} has no {what} curve, and the policy asks for its predicted {what}.")
        return np.column_stack([column for column in columns if column is not None])


class Forecast(Protocol):
    """Predictions of one run."""

    def length(self, query: int) -> float:
        """Predicted generated tokens of a query that arrives now."""
        ...

    def row(self, query: int) -> tuple[Table, int]:
        """Where its prices are; after `length`."""
        ...

    def done(self, tau_out: int) -> None:
        """An answer is done and had so many tokens."""
        ...


class PerQueryForecast:
    """Of a predictor that looks at the query: all known beforehand."""

    def __init__(self, predictor: PerQuery, prices: Prices, rng: Generator) -> None:
        queries = prices.queries
        lengths = predictor.predict(queries.tau_out, rng)
        whole = np.maximum(np.rint(lengths), 1).astype(np.int64)
        (tau_in, tau_out), row_of = distinct_pairs(queries.tau_in, whole)
        self._lengths: list[float] = lengths.tolist()
        self._row_of: list[int] = row_of.tolist()
        self._table = Table(prices, tau_in, tau_out)

    def length(self, query: int) -> float:
        """As in Forecast."""
        return self._lengths[query]

    def row(self, query: int) -> tuple[Table, int]:
        """As in Forecast."""
        return self._table, self._row_of[query]

    def done(self, tau_out: int) -> None:
        """Nothing to learn."""


class LearntForecast:
    """Of a predictor that learns: a length now and then, priced for every prompt when it first comes up."""

    def __init__(self, predictor: Learning, prices: Prices) -> None:
        predictor.begin()
        self._predictor = predictor
        self._prices = prices
        self._prompts, row_of = np.unique(prices.queries.tau_in, return_inverse=True)
        self._row_of: list[int] = row_of.tolist()
        self._tables: dict[int, Table] = {}
        self._length = 1.0
        self._level = -1
        self._changed = True

    def length(self, query: int) -> float:
        """As in Forecast."""
        if self._changed:
            self._changed = False
            level = round(_STEPS_PER_OCTAVE * math.log2(max(self._predictor.estimate(), 1.0)))
            if level != self._level:
                self._level = level
                self._length = 2.0 ** (level / _STEPS_PER_OCTAVE)
        return self._length

    def row(self, query: int) -> tuple[Table, int]:
        """As in Forecast."""
        if self._level not in self._tables:
            tokens = np.full_like(self._prompts, round(self._length))
            self._tables[self._level] = Table(self._prices, self._prompts, tokens)
        return self._tables[self._level], self._row_of[query]

    def done(self, tau_out: int) -> None:
        """As in Forecast."""
        self._predictor.observe(tau_out)
        self._changed = True


def forecast(predictor: PerQuery | Learning, prices: Prices, rng: Generator) -> Forecast:
    """The predictions of a run by a predictor."""
    if isinstance(predictor, PerQuery):
        return PerQueryForecast(predictor, prices, rng)
    return LearntForecast(predictor, prices)
