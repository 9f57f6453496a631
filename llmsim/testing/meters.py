"""What every meter must do.

>>> from llmsim.testing import MeterConformance
>>> class TestMine(MeterConformance):
...     def open_meter(self):
...         return MyMeter.over(made_up_device())
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

from llmsim.api import Meter, Reading
from llmsim.testing.checks import require

# A window is at least so long, s; longer where the meter asks for it.
LEAST_WINDOW_S = 0.1
# How far the joules may be from the watts times the seconds, relatively.
TOLERANCE = 1e-6


class MeterConformance:
    """Windows, labels, absences with reasons, what the doctor shows. Override `open_meter`.

    A made-up device will do, where it changes as a true one does.
    """

    def open_meter(self) -> Meter:
        """A new meter, over a device that can be read."""
        raise NotImplementedError

    def test_it_is_available(self) -> None:
        """Asked twice, it says the same."""
        meter = self._open()
        require(meter.unavailable() is None, "available once, not twice")
        meter.close()

    def test_a_window_has_a_reading_a_source_with_watts_times_seconds_as_joules(self) -> None:
        """Every reading says of what, how, and measured or estimated."""
        meter = self._open()
        readings, elapsed_s = self._window(meter, self._seconds(meter))
        names = [reading.source for reading in readings]
        require(bool(names) and len(set(names)) == len(names), f"sources: {names}")
        for reading in readings:
            _labelled(reading)
            require(0.9 * elapsed_s <= reading.window_s <= 1.1 * elapsed_s, f"{elapsed_s} s: {reading}")
            require(reading.power_w is not None and reading.energy_j is not None, f"no joules: {reading}")
        meter.close()

    def test_windows_follow_each_other_over_the_same_sources(self) -> None:
        """In the same order."""
        meter = self._open()
        first, _ = self._window(meter, self._seconds(meter))
        second, _ = self._window(meter, self._seconds(meter))
        require(
            [reading.source for reading in first] == [reading.source for reading in second],
            f"{first}, then {second}",
        )
        meter.close()

    def test_a_window_of_no_length_has_joules_or_a_reason_and_never_zero(self) -> None:
        """What was not measured is absent."""
        meter = self._open()
        for reading in self._window(meter, 0.0)[0]:
            _labelled(reading)
        meter.close()

    def test_its_shortest_window_is_a_number_of_seconds(self) -> None:
        """A meter without `least_window_s` takes any."""
        meter = self._open()
        seconds = getattr(meter, "least_window_s", float)()
        require(0 <= seconds < math.inf, f"{seconds} s")
        meter.close()

    def test_it_describes_its_sources_as_the_doctor_shows_them(self) -> None:
        """A meter without `describe` shows nothing."""
        meter = self._open()
        for item in getattr(meter, "describe", list)():
            missing = {"device", "how", "period_s", "read_cost_s"} - set(item)
            require(not missing, f"{item}: no {missing}")
            require("card" not in item or "index" in item, f"{item}: a card without its number")
        meter.close()

    def test_gpus_that_it_does_not_know_are_not_replaced_by_others(self) -> None:
        """A meter without `only` is of no GPUs."""
        meter = self.open_meter()
        if hasattr(meter, "only"):
            for uuids in (["GPU-0f0f0f0f-no-such-card"], []):  # none: the work is done on no GPU
                meter.only(uuids)
                if meter.unavailable() is None:
                    scopes = {reading.scope for reading in self._window(meter, 0.0)[0]}
                    require("gpu_boards" not in scopes, f"{uuids} work, and it reads other GPUs")
        meter.close()

    def test_closing_twice_does_no_harm(self) -> None:
        """Also before any window."""
        meter = self.open_meter()
        meter.close()
        meter.close()

    def _open(self) -> Meter:
        """A meter that can be read."""
        meter = self.open_meter()
        reason = meter.unavailable()
        require(reason is None, f"unavailable: {reason}")
        return meter

    def _seconds(self, meter: Meter) -> float:
        """A window that is long enough for this meter, s."""
        return max(LEAST_WINDOW_S, 1.5 * getattr(meter, "least_window_s", float)())

    def _window(self, meter: Meter, seconds: float) -> tuple[Sequence[Reading], float]:
        """Readings of a window in which nothing is done, and its seconds by the host's clock."""
        meter.start()
        begin_s = time.perf_counter()
        time.sleep(seconds)
        elapsed_s = time.perf_counter() - begin_s
        return meter.stop(), elapsed_s


def _labelled(reading: Reading) -> None:
    """A reading says of what, how, and why there are no joules where there are none."""
    require(bool(reading.source and reading.scope and reading.how), f"not named: {reading}")
    require(reading.method in ("measured", "estimated"), f"method: {reading}")
    json.dumps(dict(reading.conditions))
    if reading.energy_j is None or reading.power_w is None:
        require(reading.energy_j is None and reading.power_w is None, f"only one is absent: {reading}")
        require(any(reading.warnings), f"absent, and no word why: {reading}")
        return
    joules = reading.power_w * reading.window_s
    require(math.isclose(reading.energy_j, joules, rel_tol=TOLERANCE), f"not W times s: {reading}")
    require(reading.energy_j > 0 or reading.method == "estimated", f"no joules measured: {reading}")
