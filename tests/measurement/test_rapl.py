import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.measurement.rapl import RaplMeter
from llmsim.measurement.sysfs_power import Zone, packages, spent_j, why_unreadable
from llmsim.testing import MeterConformance


def zone(root, folder, name, energy_uj=1_000_000, range_uj=262_143_328_850):
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return path


class Mill(threading.Thread):
    """Moves counters as the kernel would."""

    def __init__(self, *paths, step_uj=1000):
        super().__init__(daemon=True)
        self.paths, self.step_uj, self.stopped = paths, step_uj, threading.Event()

    def run(self):
        value = 1_000_000
        while not self.stopped.wait(0.001):
            value += self.step_uj
            for path in self.paths:
                new = path / "new"
                new.write_text(f"{value}\n")
                new.replace(path / "energy_uj")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


class TestRapl(MeterConformance):
    @pytest.fixture(autouse=True)
    def _counters(self, tmp_path, monkeypatch):
        self.root = tmp_path
        for n in (0, 1):
            zone(tmp_path, f"intel-rapl:{n}", f"package-{n}")
        monkeypatch.setattr(Zone, "energy_j", lambda zone: 50 * time.perf_counter() % zone.range_j)

    def open_meter(self):
        return RaplMeter.over(self.root)

    def test_two_sockets_give_two_readings(self):
        readings, _ = self._window(self._open(), 0.05)
        assert [reading.source for reading in readings] == ["package-0", "package-1"]


def test_it_says_how_often_the_counter_moves_and_what_a_read_costs(tmp_path, monkeypatch):
    monkeypatch.setattr("llmsim.measurement.rapl.PROBE_S", 0.2)
    path = zone(tmp_path, "intel-rapl:0", "package-0")
    with Mill(path):
        (described,) = RaplMeter.over(tmp_path).describe()
    assert described["how"] == "kernel"
    assert 0 < described["read_cost_s"] <= described["period_s"] < 0.1
    assert RaplMeter.over(tmp_path / "none").describe() == []


def test_dies_of_a_package_are_counted_each(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0-die-0")
    zone(tmp_path, "intel-rapl:1", "package-0-die-1")
    assert [item.name for item in packages(tmp_path)] == ["package-0-die-0", "package-0-die-1"]


def test_parts_of_a_package_and_the_platform_are_not_counted_again(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:0:0", "core")
    zone(tmp_path, "intel-rapl:1", "psys")
    assert [item.name for item in packages(tmp_path)] == ["package-0"]


def test_a_platform_counter_alone_is_no_cpu(tmp_path):
    zone(tmp_path, "intel-rapl:0", "psys")
    assert "only psys" in why_unreadable(tmp_path)


def test_no_powercap_says_where_to_run(tmp_path):
    assert "host" in RaplMeter.over(tmp_path / "none").unavailable()


def test_a_denied_counter_says_how_to_allow_it(tmp_path, monkeypatch):
    zone(tmp_path, "intel-rapl:0", "package-0")
    monkeypatch.setattr("llmsim.measurement.sysfs_power.os.access", lambda path, mode: False)
    reason = RaplMeter.over(tmp_path).unavailable()
    assert "root" in reason
    assert "chmod" in reason


def test_a_frozen_counter_is_refused(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0")
    assert "do not move" in RaplMeter.over(tmp_path).unavailable()


def test_a_window_that_may_hold_a_wrap_too_many_has_no_energy(tmp_path):
    path = zone(tmp_path, "intel-rapl:0", "package-0", range_uj=1)
    with Mill(path):
        meter = RaplMeter.over(tmp_path)
        assert meter.unavailable() is None
        meter.start()
        (reading,) = meter.stop()
    assert reading.energy_j is None
    assert "shorter windows" in reading.warnings[0]


def test_what_cannot_be_read_has_no_energy_and_a_reason(tmp_path):
    meter = RaplMeter.over(tmp_path / "none")
    meter.start()
    (reading,) = meter.stop()
    assert reading.energy_j is None
    assert reading.warnings


@pytest.mark.parametrize("failure", [FileNotFoundError("cpu1/topology"), Exception()])
def test_pyrapl_that_fails_is_replaced_and_said(tmp_path, monkeypatch, failure):
    import pyRAPL

    def fails(*_, **__):
        raise failure

    monkeypatch.setattr(pyRAPL, "Sensor", fails)
    path = zone(tmp_path, "intel-rapl:0", "package-0")
    meter = RaplMeter()
    meter._root = tmp_path
    with Mill(path):
        assert meter.unavailable() is None
        meter.start()
        (reading,) = meter.stop()
    assert "pyRAPL does not work here" in reading.warnings[0]


def test_pyrapl_is_used_where_it_sees_the_same_packages(tmp_path, monkeypatch):
    import pyRAPL

    class Sensor:
        def __init__(self, devices):
            self.value = 0

        def energy(self):
            self.value += 5_000_000
            return [self.value, -1]

    monkeypatch.setattr(pyRAPL, "Sensor", Sensor)
    zone(tmp_path, "intel-rapl:0", "package-0")
    meter = RaplMeter()
    meter._root = tmp_path
    assert meter.unavailable() is None
    meter.start()
    (reading,) = meter.stop()
    assert reading.energy_j == pytest.approx(5.0)
    assert reading.warnings == ()


@given(st.floats(0, 1000), st.floats(0, 999), st.floats(1000, 1001))
def test_joules_are_never_negative_and_survive_one_wrap(before, spent, span):
    before = before % span
    assert spent_j(before, (before + spent) % span, span) == pytest.approx(spent, abs=1e-6)
