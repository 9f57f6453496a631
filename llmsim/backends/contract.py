"""What a backend is: it says what serving costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        """Told once, before the first `serve`, which queries may come; an engine may prepare for them.

        Args:
            tau_in, tau_out: tokens of each query, shape (n,).
        """
        ...

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch and say what it took; a batch of one under the serial discipline.

        A batch keeps all its places until its longest answer ends: `max(tau_out) - 1` decode steps, each of
        the whole batch. Each query is given its own tokens. (A server elsewhere batches as it does.)
        """
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


@dataclass(frozen=True, slots=True)
class Work:
    """What some iterations took.

    Attributes:
        runtime_s: seconds from their begin to the end of the last.
        energy_j: joules, or None where they are not known (yet).
        steps: decode steps among them.
        busy_s: seconds of these in which the engine worked, on the wall clock; None: all.
    """

    runtime_s: float
    energy_j: float | None = None
    steps: int = 0
    busy_s: float | None = None


@runtime_checkable
class StepEngine(Engine, Protocol):
    """An engine that runs single iterations, for disciplines that batch at every one of them.

    The scheduler decides who enters and leaves, at boundaries; the engine keeps the keys and values of those
    that are in: what was prefilled and not released. Life cycle: `begin`; then, an instance at a time and in
    the order of its boundaries, `prefill`, `decode` and `release`; then `begin` again, or `close`.
    """

    def begin(self, instances: int, max_batch: int) -> None:
        """Nothing is in any batch.

        Raises:
            InputError: so many places for the queries it was told to expect do not fit.
        """
        ...

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """Let queries in, in one pass over their tokens, which gives each its next one.

        Args:
            queries: their numbers.
            tokens: of each: its prompt and, after a preemption, what it had generated.
        """
        ...

    def decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """Steps of the whole batch, one token of each query a step: `most_steps`, at least one.

        Args:
            until_s: the first step that ends so many seconds after the begin, or later, is the last.
        """
        ...

    def release(self, instance: int, queries: Sequence[int]) -> None:
        """Queries leave: they are done, or lose their places."""
        ...


@runtime_checkable
class WarmingEngine(Protocol):
    """An engine that can prepare for its work before any of it is measured."""

    def warm(self) -> None:
        """After `expect`, and `begin` where it runs iterations: settle, and capture what will be needed.

        What is prepared later costs joules that are counted with the work, and on the wall clock time.
        """
        ...


@runtime_checkable
class PreparingEngine(Protocol):
    """An engine that can prepare for a batch before a window of the meters begins."""

    def prepare(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> None:
        """The next `serve` is of this batch. Told only where no window is open, which it would lengthen."""
        ...


@runtime_checkable
class TimedEngine(Protocol):
    """An engine that is told when each piece of its work begins: one on the wall clock waits until then."""

    def at(self, start_s: float) -> None:
        """The next piece of work begins at this time of the run, s."""
        ...


class Backend(Protocol):
    """Opens engines. `method` labels every figure that comes of it."""

    method: Literal["simulated", "measured"]

    def open(self, deployment: Deployment) -> Engine:
        """An engine for one deployment."""
        ...


@runtime_checkable
class SizingBackend(Backend, Protocol):
    """A backend that knows what its engines hold, so that several that do not fit are refused unopened."""

    def resident_bytes(self, deployment: Deployment) -> Mapping[str, int]:
        """Bytes that an open engine holds, by what they are: weights, cache, passes."""
        ...

    def memory_bytes(self) -> int | None:
        """Bytes that engines can still take on its device; None: not known."""
        ...
