"""Power states: an instance that has been idle for a while sleeps, and takes time and energy to wake."""

from __future__ import annotations

from dataclasses import dataclass

from llmsim.simulation.meters import Meters
from llmsim.simulation.tape import Tape


@dataclass(frozen=True, slots=True)
class PowerStates:
    """The keep-alive rule of a deployment.

    Attributes:
        keep_alive_s: how long an idle instance stays on.
        wake_s, wake_j: time and energy to wake it.
        asleep_power_w: power of a sleeping instance.
    """

    keep_alive_s: float
    wake_s: float
    wake_j: float
    asleep_power_w: float


class Doze:
    """Puts the instances of a deployment to sleep and wakes them, without an event of its own."""

    __slots__ = ("_meters", "_states", "_tape")

    def __init__(self, states: PowerStates, meters: Meters, tape: Tape | None) -> None:
        self._states = states
        self._meters = meters
        self._tape = tape

    def rest(self, number: int, now_s: float) -> None:
        """The instance has nothing to do from now on."""
        self._meters.idle_since_s[number] = now_s

    def rouse(self, number: int, now_s: float) -> float:
        """When an idle instance can begin to work, s: now, or once it has woken."""
        states, meters = self._states, self._meters
        asleep_s = now_s - meters.idle_since_s[number] - states.keep_alive_s
        if asleep_s <= 0.0:
            return now_s
        meters.asleep_s[number] += asleep_s
        meters.wake_s[number] += states.wake_s
        meters.wake_j[number] += states.wake_j
        awake_s = now_s + states.wake_s
        if self._tape is not None:
            where = (meters.deployment, number)
            self._tape.write(where, "wake", (now_s, awake_s), states.wake_j, 0)
        return awake_s
