"""What all instances of a run stand on."""

from __future__ import annotations

from dataclasses import dataclass

from llmsim.simulation.book import Book
from llmsim.simulation.clock import Clock
from llmsim.simulation.tape import Tape
from llmsim.simulation.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Floor:
    """The clock, the arrivals and the book of one run; the tape, where one is wanted."""

    clock: Clock
    traffic: Traffic
    book: Book
    tape: Tape | None = None
