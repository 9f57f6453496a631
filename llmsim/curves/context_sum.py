"""Sums of a step's cost over the contexts that a query passes through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from llmsim.curves.cost import IntArray
from llmsim.curves.form import FloatArray

# Longest context a curve is asked for: beyond it the table of prefix sums would not fit.
LONGEST_TOKENS = 2**24
# Nodes in a block of contexts, and the most by which a block's context grows. A smooth maximum of sharpness
# 12 of a constant and a quadratic is singular 0.13 of the context off the axis, so 12 nodes leave an error
# below 1e-11 of the block's sum (Trefethen, Approximation Theory, th. 19.3, for the analytic ellipse).
NODES = 12
BLOCK_RATIO = 1.2


class ContextSum:
    """`overhead + sum of step(c)` for c = tau_in .. tau_in + tau_out - 1, with derivatives.

    The contexts are cut into blocks at every query's first and last; a block of at most `NODES` contexts is
    summed term by term, a longer one by the Gauss rule for sums of that length, which is exact for
    polynomials of degree 2*NODES - 1 and within 1e-10 for the steps here. A query's sum is the difference of
    two prefix sums (in extended precision; the derivatives in double), so a million queries cost two
    look-ups each.

    Args:
        step: (theta, contexts (m,)) to the cost and its derivatives, shape (p, m): row 0 is the cost, the
            others belong to the parameters but the overhead, in order.
        overhead: place of the overhead in theta.
        tau_in, tau_out: tokens, shape (n,).
    """

    def __init__(
        self,
        step: Callable[[FloatArray, FloatArray], FloatArray],
        overhead: int,
        tau_in: IntArray,
        tau_out: IntArray,
    ) -> None:
        self.step = step
        self.overhead = overhead
        self.tau_in = np.asarray(tau_in, dtype=np.int64)
        self.tau_out = np.asarray(tau_out, dtype=np.int64)
        ends = self.tau_in + self.tau_out
        if len(ends) and int(ends.max()) > LONGEST_TOKENS:
            raise ValueError(f"a context of {int(ends.max())} tokens; curves reach to {LONGEST_TOKENS}")
        edges = _edges(self.tau_in, ends)
        self.contexts, self.weights, starts = _nodes(edges)
        place = np.zeros(int(edges[-1]) + 1 if len(edges) else 0, dtype=np.int64)
        place[edges] = starts
        self._first, self._last = place[self.tau_in], place[ends]

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Predictions (n,) and derivatives (n, p)."""
        steps = self.step(theta, self.contexts) * self.weights
        table = np.zeros((len(self.contexts) + 1, len(theta)))
        others = [k for k in range(len(theta)) if k != self.overhead]
        table[1:, others] = np.cumsum(steps[1:], axis=1).T
        derivatives = table[self._last] - table[self._first]
        derivatives[:, self.overhead] = 1.0
        prefix = np.zeros(len(self.contexts) + 1, dtype=np.longdouble)
        np.cumsum(steps[0], dtype=np.longdouble, out=prefix[1:])
        value = (prefix[self._last] - prefix[self._first]).astype(np.float64)
        return value + theta[self.overhead], derivatives


def _edges(first: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the contexts are cut: at each query's first and end, and so that no block grows too much."""
    if not len(first):
        return np.zeros(0, dtype=np.int64)
    shortest, longest = int(first.min()), int(end.max())
    knots = max(int(np.log(max(longest / max(shortest, 1), 1.0)) / np.log(BLOCK_RATIO)) + 2, 2)
    grown = np.geomspace(max(shortest, 1), longest, knots).astype(np.int64)
    marks = np.zeros(longest + 1, dtype=np.bool_)
    marks[first] = marks[end] = True
    marks[np.clip(grown, shortest, longest)] = True
    return np.flatnonzero(marks)


def _nodes(edges: NDArray[np.int64]) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Contexts to evaluate and their weights, shape (m,), and at which of them each edge's block begins."""
    lengths = np.diff(edges)
    counts = np.minimum(lengths, NODES)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    block = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(int(starts[-1])) - starts[block]
    contexts = (edges[block] + place).astype(np.float64) if len(block) else np.zeros(0)
    weights = np.ones(len(contexts))
    long = np.flatnonzero(lengths > NODES)
    if len(long):
        offset, weight = gauss_sum_rule(lengths[long])
        slots = starts[long][:, None] + np.arange(NODES)
        contexts[slots] = edges[long][:, None] + offset
        weights[slots] = weight
    return contexts, weights, starts


def gauss_sum_rule(lengths: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights, each (b, NODES), with `sum over t=0..n-1 of f(t)` near `weights @ f(nodes)`.

    By Golub and Welsch (1969) from the recurrence of the discrete Chebyshev polynomials, which are
    orthogonal under equal weights at 0 .. n-1 (Szego, Orthogonal Polynomials, 2.8).

    Args:
        lengths: n of each sum, above NODES, shape (b,).
    """
    n = lengths.astype(np.float64)[:, None]
    k = np.arange(1, NODES, dtype=np.float64)
    coupling = np.sqrt(k**2 * (n**2 - k**2) / (4 * (4 * k**2 - 1)))
    jacobi = np.zeros((len(lengths), NODES, NODES))
    row = np.arange(NODES - 1)
    jacobi[:, row, row + 1] = jacobi[:, row + 1, row] = coupling
    nodes, vectors = np.linalg.eigh(jacobi)
    return nodes + (n - 1) / 2, n * vectors[:, 0, :] ** 2
