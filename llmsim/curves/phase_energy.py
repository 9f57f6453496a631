"""With a KV cache: joules of a whole batch, split into its phases by what they are proportional to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.form import Design, FloatArray, IntArray, LinearDesign, Parameter, linear_start

KILO = 1000.0


@dataclass(frozen=True)
class PhaseEnergy:
    """`prefill*(prompt tokens) + step*steps + query*(steps*batch)`, each parameter at least 0.

    Published trials state the energy of a whole run, never of a phase. They generate the same number of
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

    def design(self, *inputs: IntArray) -> LinearDesign:
        """The form at (prompt tokens, steps, steps*batch)."""
        tokens, steps, query_steps = (np.asarray(x, dtype=np.float64) for x in inputs)
        return LinearDesign(np.column_stack([tokens / KILO, steps, query_steps]))

    def start(self, design: Design, measured: FloatArray) -> FloatArray:
        """The nonnegative solution of the plain squares."""
        if not isinstance(design, LinearDesign):
            raise TypeError("phase_energy is linear")
        return linear_start(design.features, measured)
