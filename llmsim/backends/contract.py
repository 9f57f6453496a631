"""What a backend is: it says what serving costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from llmsim.backends.phase import PhaseCosts
from llmsim.curves.cost import IntArray
from llmsim.fleet.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Advance:
    """What serving took.

    Attributes:
        runtime_s: seconds until the last token.
        first_token_s: seconds until the first token; equal to or below `runtime_s`.
        energy_j: joules, or None where no energy is known.
        prefill_j: the part of them that prefill took, or None where phases are not told apart.
    """

    runtime_s: float
    first_token_s: float
    energy_j: float | None
    prefill_j: float | None = None


class Engine(Protocol):
    """One deployment, ready to serve. Life cycle: `open`, any number of `serve`, `close`."""

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """Told once, before the first `serve`, which queries may come; an engine may prepare for them."""
        ...

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch and say what it took; a batch of one under the serial discipline."""
        ...

    def close(self) -> None:
        """Release what `open` took."""
        ...


@runtime_checkable
class PhaseEngine(Engine, Protocol):
    """An engine that says what phases cost, for disciplines that batch at every iteration."""

    @property
    def costs(self) -> PhaseCosts:
        """Costs of prefill passes and decode steps.

        Raises:
            InputError: only whole queries are known.
        """
        ...


class Backend(Protocol):
    """Opens engines. `method` labels every figure that comes of it."""

    method: Literal["simulated", "measured"]

    def open(self, deployment: Deployment) -> Engine:
        """An engine for one deployment."""
        ...
