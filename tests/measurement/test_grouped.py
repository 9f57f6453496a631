import pytest

from llmsim.measurement.contract import Reading
from llmsim.measurement.grouped import Grouped


class Desk:
    """A clock, and a meter of a device that draws 300 W at work and 100 W between, on that clock."""

    def __init__(self, least_s=0.0):
        self.now_s = self.work_s = 0.0
        self.least_s = least_s

    def clock(self):
        return self.now_s

    def rest(self, seconds):
        self.now_s += seconds

    def work(self, seconds):
        self.now_s += seconds
        self.work_s += seconds

    def least_window_s(self):
        return self.least_s

    def start(self):
        self.begin_s, self.before_s = self.now_s, self.work_s

    def stop(self):
        window_s, work_s = self.now_s - self.begin_s, self.work_s - self.before_s
        watts = (300 * work_s + 100 * (window_s - work_s)) / window_s
        return [Reading("gpu0", "gpu_boards", "measured", "made up", watts, watts * window_s, window_s)]


def serve(grouped, desk, number, seconds, gap_s=0.0):
    grouped.before()
    desk.work(seconds)
    found = grouped.after(("run", "one", number), seconds)
    desk.rest(gap_s)
    return found


def test_short_work_shares_a_window_by_seconds_and_time_between_is_taken_off():
    desk = Desk()
    grouped = Grouped([desk], idle_w=100.0, clock=desk.clock, rest=desk.rest)
    assert serve(grouped, desk, 0, 0.2, gap_s=0.3) == []
    assert serve(grouped, desk, 1, 0.4, gap_s=0.0) == []
    first, second, third = serve(grouped, desk, 2, 0.4)
    assert [share.energy_j for share in (first, second, third)] == pytest.approx([60, 120, 120])
    assert (first.members, first.idle_s) == (3, pytest.approx(0.3))


def test_long_work_has_a_window_of_its_own():
    desk = Desk(least_s=2.0)
    grouped = Grouped([desk], clock=desk.clock, rest=desk.rest)
    (share,) = serve(grouped, desk, 0, 2.5)
    assert (share.energy_j, share.members) == (pytest.approx(750), 1)
    assert serve(grouped, desk, 1, 1.5) == []


def test_the_last_group_waits_until_the_meter_can_tell():
    desk = Desk(least_s=2.0)
    grouped = Grouped([desk], idle_w=100.0, clock=desk.clock, rest=desk.rest)
    serve(grouped, desk, 0, 0.5)
    (share,) = grouped.flush()
    assert desk.now_s == pytest.approx(2.0)
    assert share.energy_j == pytest.approx(150)
    assert grouped.flush() == []


def test_without_a_meter_nothing_is_known():
    grouped = Grouped([])
    grouped.before()
    assert grouped.after(("run", "one", 0), 5.0) == grouped.flush() == []


def test_a_meter_of_other_hardware_than_described_has_no_joules_and_says_so():
    desk = Desk()
    grouped = Grouped([desk], idle_w=400.0, clock=desk.clock, rest=desk.rest)
    serve(grouped, desk, 0, 0.1, gap_s=0.8)
    _, second = serve(grouped, desk, 1, 0.1)
    assert second.energy_j is None
    assert "does not read the hardware that is described" in second.warnings[0]
