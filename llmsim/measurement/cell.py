"""What a campaign measures: settings of a target, and what exercises them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Experiment = Literal["prefill", "decode", "generation"]


class OutOfMemory(Exception):
    """The device's memory does not hold a setting; an outcome, not a crash."""


@dataclass(frozen=True, order=True)
class Cell:
    """One setting.

    Attributes:
        experiment: ``prefill``: a pass over the prompts of a batch; ``decode``: tau_out - 1 steps of a batch
            whose caches hold tau_in tokens each, the k-th attending to tau_in + k; ``generation``: from the
            prompts to the last token.
        batch: queries served together.
        tau_in: prompt tokens of each.
        tau_out: tokens generated for each; 1 in a prefill.
    """

    experiment: Experiment
    batch: int
    tau_in: int
    tau_out: int

    @property
    def tokens(self) -> int:
        """Tokens that a query's cache holds at the end."""
        return self.tau_in + self.tau_out


@dataclass(frozen=True)
class Passes:
    """Executions of a cell, back to back.

    Attributes:
        count: how many.
        seconds: from the first's begin to the last's end, s, on the device's own clock where it has one.
        tokens: generated tokens of one, counted.
        prefill_s: of a generation's seconds, those until the first token, all executions together; None: not
            told apart.
    """

    count: int
    seconds: float
    tokens: int
    prefill_s: float | None = None


class Exercise(Protocol):
    """One cell, ready to run."""

    def run(self, seconds: float) -> Passes:
        """Run the cell again and again for at least so long, once at least, and wait for its end.

        Raises:
            OutOfMemory: it does not fit.
        """
        ...


class Bench(Protocol):
    """A target in memory. Life cycle: any number of `prepare`; then `close`."""

    def prepare(self, cell: Cell) -> Exercise:
        """Make a cell ready; an earlier exercise is void from then on.

        Raises:
            OutOfMemory: it does not fit.
        """
        ...

    def conditions(self) -> dict[str, str | int | float | bool]:
        """What its trials were measured under: weights, attention, threads, versions."""
        ...

    def close(self) -> None:
        """Release the memory."""
        ...
