"""With a KV cache: one decode step of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.experts import START_MISS, experts_of, floor_of
from llmsim.curves.form import KILO, Design, FloatArray, InputArray, Parameter, linear_start
from llmsim.curves.smooth_max import smooth_max

START_OVERLAP = 0.05


@dataclass(frozen=True)
class Decode:
    """`max(floor, compute*batch) + query*batch + context*(total context)/batch^overlap`, the maximum smooth.

    A step reads the weights once for the whole batch (the floor), or is bound by the batch's arithmetic; each
    query adds its own work, and its keys and values are read. The more queries, the better their reading
    hides behind one another: hence the overlap. At one batch a step is affine in the total context (thousands
    of tokens over all queries), so any number of steps sums exactly.

    A mixture of experts reads only those that its batch reaches: the floor is then
    `floor + experts*(1 - miss^(batch - 1))`, where `miss` is the chance that a token passes an expert by.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded.
        sharpness: of the smooth maximum; 1 is the sum of both terms, infinity their maximum.
        routed: the model is a mixture of experts.

    Compared on six dense models of one H200 by error left out by cells, left out by levels, and on settings
    measured to check them (percent, means over models): affine 1.9, 2.1, 1.1; with a maximum of fitted
    sharpness 2.0, 2.4, 1.0; that with the overlap 1.3, 2.1, 1.0; this 1.3, 1.5, 0.9. An overlap linear in the
    logarithm of the batch does as well (1.3, 1.5, 1.0), and one of 1/(1 + batch/scale) less (1.4, 1.7, 1.1).
    """

    robust_scale: float | None = 0.02
    sharpness: float = 4.0
    routed: bool = False
    name: str = "decode"

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def parameters(self) -> tuple[Parameter, ...]:
        """floor, compute, query, context (each at least 0), overlap (from 0 to 1); experts and miss."""
        dense = (
            Parameter("floor", "{y}/step"),
            Parameter("compute", "{y}/step/query"),
            Parameter("query", "{y}/step/query"),
            Parameter("context", "{y}/step/kilotoken"),
            Parameter("overlap", "1", 0.0, 1.0),
        )
        return (*dense, *experts_of("{y}/step")) if self.routed else dense

    def design(self, *inputs: InputArray) -> DecodeDesign:
        """The form at (batch, total context in tokens)."""
        batch, context = (np.asarray(x, dtype=np.float64) for x in inputs)
        return DecodeDesign(batch, context / KILO, self.sharpness, self.routed)

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """From the affine solution; compute takes over at the largest batch."""
        if not isinstance(design, DecodeDesign):
            raise TypeError("not a decode step")
        features = np.column_stack([np.ones_like(design.batch), design.batch, design.context])
        floor, query, context = linear_start(features, measured)
        floor = max(floor, 0.5 * float(measured.min()))
        compute = 0.5 * float(np.max(measured / design.batch.max()))
        dense = [floor, compute, max(query, 1e-3 * floor), max(context, 1e-3 * floor), START_OVERLAP]
        if not self.routed:
            return np.array(dense)
        least = float(measured.min())
        return np.array([0.8 * least, *dense[1:], float(np.median(measured)), START_MISS])


@dataclass(frozen=True)
class DecodeDesign:
    """The step at given batches and total contexts (kilotokens), each of shape (n,)."""

    batch: FloatArray
    context: FloatArray
    sharpness: float
    routed: bool = False

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Seconds or joules of a step, shape (n,), and derivatives, shape (n, p)."""
        _, compute, query, context, overlap = theta[:5]
        floor, by_experts = floor_of(theta, 5, self.batch, self.routed)
        bound, by_floor, by_work, _ = smooth_max(floor, compute * self.batch, self.sharpness)
        shown = self.context * self.batch**-overlap
        value = bound + query * self.batch + context * shown
        slopes = [by_floor, by_work * self.batch, self.batch, shown, -context * shown * np.log(self.batch)]
        return value, np.column_stack([*slopes, *(by_floor * slope for slope in by_experts)])
