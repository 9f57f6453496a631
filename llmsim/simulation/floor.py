"""What all instances of a run stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmsim.simulation.book import Book
from llmsim.simulation.clock import Clock
from llmsim.simulation.tape import Tape
from llmsim.simulation.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Floor:
    """The clock, the arrivals and the book of one run; the tape, where one is wanted.

    Attributes:
        left: called with each query that is done, at that time; None: nobody asks.
    """

    clock: Clock
    traffic: Traffic
    book: Book
    tape: Tape | None = None
    left: Callable[[int], None] | None = None
