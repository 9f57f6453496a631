import time

import pytest

from llmsim.measurement.nvml import NvmlMeter
from llmsim.testing import MeterConformance
from tests.measurement.made_up import PERIOD_S, Nvml


@pytest.fixture
def meter(monkeypatch):
    monkeypatch.setattr("llmsim.measurement.nvml.CALIBRATION_S", 15 * PERIOD_S)
    opened = []

    def over(library):
        opened.append(NvmlMeter.over(library))
        return opened[-1]

    yield over
    for item in opened:
        item.close()


def window(meter, seconds=0.4):
    meter.start()
    time.sleep(seconds)
    return meter.stop()


class TestNvml(MeterConformance):
    @pytest.fixture(autouse=True)
    def _over(self, meter):
        self.open_meter = lambda: meter(Nvml(gpus=2))


def test_a_counter_that_goes_back_leaves_its_window_without_joules(meter):
    library = Nvml()
    nvml = meter(library)
    assert nvml.unavailable() is None
    nvml.start()
    time.sleep(0.15)
    library.began_s = time.perf_counter()
    time.sleep(0.15)
    (reading,) = nvml.stop()
    assert reading.energy_j is None
    assert any("went back" in text for text in reading.warnings)


def test_a_counter_that_moves_gives_the_power_that_moved_it(meter):
    nvml = meter(Nvml(watts=300))
    assert nvml.unavailable() is None
    (reading,) = window(nvml)
    assert reading.power_w == pytest.approx(300, rel=0.06)
    assert reading.energy_j == pytest.approx(reading.power_w * reading.window_s)
    assert (reading.how, reading.method, reading.scope) == ("energy_counter", "measured", "gpu_boards")
    assert reading.conditions["throttled"] == "power_cap"
    assert reading.conditions["sm_clock_mhz"] == 1980


def test_the_period_of_the_counter_is_found(meter):
    (described,) = meter(Nvml()).describe()
    assert described["period_s"] == pytest.approx(PERIOD_S, rel=0.1)
    assert described["how"] == "energy_counter"


def test_each_gpu_has_a_reading_and_a_card(meter):
    nvml = meter(Nvml(gpus=2))
    assert [reading.source for reading in window(nvml)] == ["gpu0", "gpu1"]
    cards = [item["card"] for item in nvml.describe()]
    assert len(set(cards)) == 2


def test_only_the_gpus_that_work_are_read(meter):
    nvml = meter(Nvml(gpus=3))
    nvml.only(["1"])  # as torch says it, without GPU- before it
    assert [reading.source for reading in window(nvml, 0.1)] == ["gpu1"]
    stranger = meter(Nvml())
    stranger.only(["GPU-7"])
    assert "identity 7" in stranger.unavailable()


def test_the_shortest_window_follows_the_period_that_was_found(meter):
    assert meter(Nvml()).least_window_s() == pytest.approx(6 * PERIOD_S, rel=0.1)


def test_while_it_rests_nothing_is_read(meter):
    library = Nvml()
    nvml = meter(library)
    assert nvml.unavailable() is None
    with nvml.resting():
        library.nvmlDeviceGetTotalEnergyConsumption = None  # a call would be an error
        time.sleep(0.02)
        del library.nvmlDeviceGetTotalEnergyConsumption
    (reading,) = window(nvml, 0.2)
    assert reading.power_w == pytest.approx(300, rel=0.1)


def test_a_window_of_too_few_updates_has_no_energy_and_says_how_long_it_must_be(meter):
    nvml = meter(Nvml())
    nvml.unavailable()
    (reading,) = window(nvml, PERIOD_S)
    assert reading.energy_j is None
    assert "counter updates" in reading.warnings[0]


@pytest.mark.parametrize("counter", ["missing", "frozen"])
def test_without_a_counter_that_moves_power_is_integrated_and_labelled(meter, counter, monkeypatch):
    monkeypatch.setattr("llmsim.measurement.nvml.LONGEST_PERIOD_S", 0.1)
    (reading,) = window(meter(Nvml(watts=200, counter=counter)), 0.3)
    assert reading.how == "integrated_power"
    assert reading.power_w == pytest.approx(200)


def test_a_counter_and_power_that_disagree_carry_a_warning(meter):
    nvml = meter(Nvml(watts=300, power=200.0))
    assert nvml.unavailable() is None
    (reading,) = window(nvml)
    assert any("apart" in text for text in reading.warnings)


def test_a_divided_gpu_is_refused_with_the_reason(meter):
    assert "MIG" in meter(Nvml(mig=True)).unavailable()


def test_a_board_that_knows_no_mig_is_whole(meter):
    assert meter(Nvml(mig=None)).unavailable() is None


def test_a_gpu_that_tells_nothing_is_refused_with_what_to_do(meter):
    assert "root" in meter(Nvml(counter="missing", power="denied")).unavailable()


def test_no_driver_is_refused_with_what_to_install(meter):
    assert "driver" in meter(Nvml(starts=False)).unavailable()


def test_a_number_that_no_gpu_has_is_refused(meter):
    nvml = meter(Nvml())
    nvml.devices = [3]
    assert "[3]" in nvml.unavailable()
