"""With a KV cache: one decode step of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.experts import START_MISS, experts_of, floor_of
from llmsim.curves.form import Design, FloatArray, IntArray, Parameter, linear_start
from llmsim.curves.smooth_max import smooth_max

KILO = 1000.0


@dataclass(frozen=True)
class Decode:
    """`max(floor, compute*batch) + query*batch + context*(total context)`, the maximum smooth.

    A step reads the weights once for the whole batch (the floor), or is bound by the batch's arithmetic; each
    query adds its own work, and its keys and values are read. Only the batch term bends: the step is affine
    in the total context (thousands of tokens over all queries), so any number of steps sums exactly.

    A mixture of experts reads only those that its batch reaches: the floor is then
    `floor + experts*(1 - miss^(batch - 1))`, where `miss` is the chance that a token passes an expert by.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded.
        sharpest: largest sharpness; 1 is the sum of both terms, infinity their maximum.
        routed: the model is a mixture of experts.
    """

    robust_scale: float | None = 0.02
    sharpest: float = 12.0
    routed: bool = False
    name: str = "decode"

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def parameters(self) -> tuple[Parameter, ...]:
        """floor, compute, query, context (each at least 0), sharpness (at least 1); experts and miss."""
        dense = (
            Parameter("floor", "{y}/step"),
            Parameter("compute", "{y}/step/query"),
            Parameter("query", "{y}/step/query"),
            Parameter("context", "{y}/step/kilotoken"),
            Parameter("sharpness", "1", 1.0, self.sharpest),
        )
        return (*dense, *experts_of("{y}/step")) if self.routed else dense

    def design(self, *inputs: IntArray) -> DecodeDesign:
        """The form at (batch, total context in tokens)."""
        batch, context = (np.asarray(x, dtype=np.float64) for x in inputs)
        return DecodeDesign(batch, context / KILO, self.routed)

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """From the affine solution; compute takes over at the largest batch."""
        if not isinstance(design, DecodeDesign):
            raise TypeError("not a decode step")
        features = np.column_stack([np.ones_like(design.batch), design.batch, design.context])
        floor, query, context = linear_start(features, measured)
        floor = max(floor, 0.5 * float(measured.min()))
        compute = 0.5 * float(np.max(measured / design.batch.max()))
        dense = [floor, compute, max(query, 1e-3 * floor), max(context, 1e-3 * floor), 4.0]
        if not self.routed:
            return np.array(dense)
        least = float(measured.min())
        return np.array([0.8 * least, *dense[1:], float(np.median(measured)), START_MISS])


@dataclass(frozen=True)
class DecodeDesign:
    """The step at given batches and total contexts (kilotokens), each of shape (n,)."""

    batch: FloatArray
    context: FloatArray
    routed: bool = False

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Seconds or joules of a step, shape (n,), and derivatives, shape (n, p)."""
        _, compute, query, context, sharpness = theta[:5]
        floor, by_experts = floor_of(theta, 5, self.batch, self.routed)
        bound, by_floor, by_work, by_sharpness = smooth_max(floor, compute * self.batch, sharpness)
        value = bound + query * self.batch + context * self.context
        slopes = [by_floor, by_work * self.batch, self.batch, self.context, by_sharpness]
        return value, np.column_stack([*slopes, *(by_floor * slope for slope in by_experts)])
