import pytest

from llmsim.errors import InputError
from llmsim.measurement import METERS
from llmsim.measurement.tdp import TdpMeter
from llmsim.testing import MeterConformance


class TestTdp(MeterConformance):
    def open_meter(self):
        return TdpMeter(allow_estimate=True, tdp_w=100, idle_w=20)


def test_an_estimate_must_be_asked_for():
    assert "allow_estimate" in TdpMeter(tdp_w=100).unavailable()


def test_an_estimate_needs_a_power_limit():
    assert "tdp_w" in TdpMeter(allow_estimate=True).unavailable()


def test_an_estimate_lies_between_idle_and_tdp(monkeypatch):
    meter = TdpMeter(allow_estimate=True, tdp_w=100, idle_w=20)
    ticks = iter([(10.0, 100.0), (35.0, 200.0), (35.0, 200.0), (35.0, 200.0)])
    monkeypatch.setattr("llmsim.measurement.tdp.busy_ticks", lambda: next(ticks))
    meter.start()
    (reading,) = meter.stop()
    assert (reading.power_w, reading.method) == (40, "estimated")
    meter.start()
    assert "longer windows" in meter.stop()[0].warnings[0]


def test_what_was_not_allowed_has_no_energy():
    meter = TdpMeter()
    meter.start()
    (reading,) = meter.stop()
    assert reading.energy_j is None


def test_meters_are_built_by_name_and_their_settings_are_checked():
    assert METERS.build({"name": "tdp", "tdp_w": 65.0}).tdp_w == 65.0
    assert METERS.build("nvml").devices == []
    assert METERS.build("rapl").use_pyrapl
    with pytest.raises(InputError, match="tdp_w"):
        METERS.build({"name": "tdp", "tdp": 65.0})
