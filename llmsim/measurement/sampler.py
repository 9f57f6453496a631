"""A thread that watches a counter beside the work, and says when it moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from llmsim.measurement.ticks import Ticks


@dataclass
class Sampler:
    """Reads a counter again and again; keeps its moves, and other readings taken at each move.

    Attributes:
        counter: the counter, J.
        beside: read once at each move, such as power in watts; None: nothing is.
        pause_s: rest between two readings, s, so that reading costs the work nothing.
    """

    counter: Callable[[], float]
    beside: Callable[[], float] | None = None
    pause_s: float = 0.002
    moves: list[tuple[float, float]] = field(default_factory=list)
    others: list[tuple[float, float]] = field(default_factory=list)
    reads: int = 0
    read_s: float = 0.0
    failure: Exception | None = None
    _thread: threading.Thread | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to watch; does nothing while it watches already."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._watch, name="llmsim-meter", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def ticks(self) -> Ticks:
        """The moves so far."""
        return Ticks.of(self.moves)

    def wait_for_move(self, timeout_s: float) -> bool:
        """Return at the next move; False when none came in time."""
        known = len(self.moves)
        end = time.perf_counter() + timeout_s
        while len(self.moves) == known:
            if time.perf_counter() > end or self.failure is not None:
                return False
            time.sleep(self.pause_s)
        return True

    def forget(self, before_s: float) -> None:
        """Drop what was seen before a time, so that a long campaign holds no more than it needs."""
        self.moves[:] = [move for move in self.moves if move[0] >= before_s]
        self.others[:] = [other for other in self.others if other[0] >= before_s]

    def _watch(self) -> None:
        try:
            last = self.counter()
            while not self._stopped.wait(self.pause_s):
                begin = time.perf_counter()
                value = self.counter()
                now = time.perf_counter()
                self.reads += 1
                self.read_s += now - begin
                if value != last:
                    self.moves.append((now, value))
                    last = value
                    if self.beside is not None:
                        self.others.append((now, self.beside()))
        except Exception as error:  # told to whoever reads the meter; a thread has no one to raise to
            self.failure = error
