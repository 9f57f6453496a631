"""With a KV cache: joules of a pass, of a step, and of whole batches measured as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import IntArray
from llmsim.curves.experts import reached
from llmsim.curves.form import KILO, Design, FloatArray, InputArray, LinearDesign, Parameter, linear_start

# Rows that matrix units take at once: a pass over fewer tokens does as much.
TILE_TOKENS = 16
# A trial of less than this share of the greatest power is taken to be below the limit, to begin with.
BELOW_LIMIT = 0.97


@dataclass(frozen=True)
class PhaseEnergy:
    """`prefill*(prompt tokens) + step*steps + query*(steps*batch)`, each parameter at least 0.

    For trials that state the energy of a whole run, never of a phase. They generate the same number of
    tokens nearly throughout, so the energy of reading a growing context cannot be told from that of the
    prompt; it is counted with the prompt.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded.
    """

    robust_scale: float | None = 0.02
    name: str = "phase_energy"

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def parameters(self) -> tuple[Parameter, ...]:
        """prefill, step, query."""
        return (
            Parameter("prefill", "{y}/kilotoken"),
            Parameter("step", "{y}/step"),
            Parameter("query", "{y}/step/query"),
        )

    def design(self, *inputs: InputArray) -> LinearDesign:
        """The form at (prompt tokens, steps, steps*batch)."""
        tokens, steps, query_steps = (np.asarray(x, dtype=np.float64) for x in inputs)
        return LinearDesign(np.column_stack([tokens / KILO, steps, query_steps]))

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """The nonnegative solution of the plain squares."""
        if not isinstance(design, LinearDesign):
            raise TypeError("phase_energy is linear")
        return linear_start(design.features, measured)


@dataclass(frozen=True)
class Limited:
    """`min(work, limit*seconds)`: joules by the work done, or by the power limit and the time it then takes.

    The work's joules are affine in what is read and computed; a board at its limit draws that power however
    much there is to do, and takes longer instead. The seconds are an input: measured ones where it is fitted,
    those of the time curve where it predicts.

    Compared on six dense models of one H200 by error left out by cells, left out by levels, and on settings
    measured to check them (percent, means over models), of a step: this 1.1, 1.0, 1.1; the work without the
    limit 2.3, 2.3, 1.6; the same with a static power times the seconds 2.4, 2.4, 1.7. Of a pass: this 2.7,
    2.6, 1.6; without the limit 6.0, 15.2, 3.6; with a static power 4.2, 29.6, 2.1; one power times the
    seconds 5.6, 5.3, 1.9.
    """

    robust_scale: float | None = 0.02

    @property
    def relative(self) -> bool:
        """True: errors count as a share of what was measured."""
        return True

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """The limit is the greatest power seen; the work's joules are of the trials below it."""
        if not isinstance(design, LimitedDesign):
            raise TypeError("not an energy under a limit")
        power = measured / design.seconds
        limit = float(np.quantile(power, 0.95))
        below = power < BELOW_LIMIT * limit
        rows = below if below.sum() > design.features.shape[1] else np.full(len(power), True)
        return np.append(linear_start(design.features[rows], measured[rows]), limit)


@dataclass(frozen=True)
class DecodeEnergy(Limited):
    """Joules of one decode step: `min(step + query*batch + context*(total context), limit*seconds)`.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded.
        miss: of `Decode`, where the experts that a batch reaches are counted; None: all weights are read.
    """

    miss: float | None = None
    name: str = "decode_energy"

    def parameters(self) -> tuple[Parameter, ...]:
        """step, query, context, experts (where counted) and limit."""
        routed = () if self.miss is None else (Parameter("experts", "{y}/step"),)
        return (
            Parameter("step", "{y}/step"),
            Parameter("query", "{y}/step/query"),
            Parameter("context", "{y}/step/kilotoken"),
            *routed,
            Parameter("limit", "{y}/s"),
        )

    def design(self, *inputs: InputArray) -> LimitedDesign:
        """The form at (batch, total context in tokens, seconds of the step)."""
        batch, context, seconds = (np.asarray(x, dtype=np.float64) for x in inputs)
        routed = [] if self.miss is None else [reached(self.miss, batch)[0]]
        return LimitedDesign(np.column_stack([np.ones_like(batch), batch, context / KILO, *routed]), seconds)

    def terms(self, theta: FloatArray, batch: IntArray) -> tuple[FloatArray, FloatArray, float]:
        """A step's joules without context and joules a token of it, each of shape (n,); the limit, W."""
        nothing = np.zeros(len(batch))
        base = self.design(batch, nothing, nothing).features @ theta[:-1]
        return base, np.full(len(batch), theta[2] / KILO), float(theta[-1])


@dataclass(frozen=True)
class PrefillEnergy(Limited):
    """Joules of one pass: `min(floor + linear*sum(t) + quadratic*sum(t^2 + 2*t*past), limit*seconds)`.

    Args:
        robust_scale: relative error beyond which a trial's pull is bounded.
    """

    robust_scale: float | None = 0.05
    name: str = "prefill_energy"

    def parameters(self) -> tuple[Parameter, ...]:
        """floor, linear, quadratic and limit."""
        return (
            Parameter("floor", "{y}/pass"),
            Parameter("linear", "{y}/kilotoken"),
            Parameter("quadratic", "{y}/kilotoken^2"),
            Parameter("limit", "{y}/s"),
        )

    def design(self, *inputs: InputArray) -> LimitedDesign:
        """The form at (sum of tokens, sum of tokens^2 + 2*tokens*past, seconds of the pass)."""
        tokens, squares, seconds = (np.asarray(x, dtype=np.float64) for x in inputs)
        rows = np.maximum(tokens, TILE_TOKENS)
        features = [np.ones_like(tokens), rows / KILO, squares / KILO**2]
        return LimitedDesign(np.column_stack(features), seconds)


@dataclass(frozen=True)
class LimitedDesign:
    """The work at given points, shape (n, p - 1), and the seconds it takes, shape (n,)."""

    features: FloatArray
    seconds: FloatArray

    def evaluate(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Joules, shape (n,), and derivatives, shape (n, p): of whichever of the two is less."""
        work, most = self.features @ theta[:-1], theta[-1] * self.seconds
        limited = most < work
        slope = np.zeros((len(work), len(theta)))
        slope[:, :-1] = np.where(limited[:, None], 0.0, self.features)
        slope[:, -1] = np.where(limited, self.seconds, 0.0)
        return np.minimum(work, most), slope
