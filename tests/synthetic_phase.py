"""A made-up phase curve of the shape that fitted ones have, for benchmarks and tests. Nothing is measured."""

from __future__ import annotations

import numpy as np

from llmsim.curves.decode import Decode
from llmsim.curves.domain import Domain
from llmsim.curves.fitted import Fitted
from llmsim.curves.form import Form
from llmsim.curves.joules import JoulesTogether
from llmsim.curves.phase import FittedPhaseCurve
from llmsim.curves.phase_energy import PhaseEnergy
from llmsim.curves.prefill import Prefill

# About an 8B model on one H200, in round numbers: seconds (and joules) a pass, prompt, kilotoken, ...
PREFILL_S = (4e-3, 5e-4, 3.2e-2, 5e-4)
DECODE_S = (4e-3, 1.2e-5, 1.5e-5, 3e-5, 0.0)
ENERGY_J = (20.0, 1.6, 3e-2)

# What `tests/benchmarks/simulation.py` names.
CONTEXT_TOKENS = 131_072
MAX_BATCH = 256


def synthetic_phase() -> FittedPhaseCurve:
    """A phase curve with round parameters and no error, of batches to 256 and contexts to 131,072 tokens."""
    domain = Domain.of(("batch", "tokens"), np.array([1, MAX_BATCH]), np.array([2, CONTEXT_TOKENS]))
    return FittedPhaseCurve(
        prefill_time=exact(Prefill(sharpness=4.0), *PREFILL_S),
        decode_time=exact(Decode(), *DECODE_S),
        energy=JoulesTogether(exact(PhaseEnergy(), *ENERGY_J)),
        prompts=domain,
        contexts=domain,
    )


def exact(form: Form, *theta: float) -> Fitted:
    """A form with these parameters, without error or scatter."""
    return Fitted(form, np.array(theta), np.zeros((len(theta), len(theta))), 0.0)
