"""Zeus's devices, made up: what the meter says of them."""

import time

import pytest
import zeus.device
import zeus.device.cpu.rapl
from zeus.device.cpu.common import ZeusCPUNoPermissionError
from zeus.device.gpu.amd import AMDGPUs, _hip_to_amdsmi_handle
from zeus.device.soc.apple import AppleSiliconMeasurement
from zeus.device.soc.jetson import JetsonMeasurement

from llmsim.api import InputError, load_config
from llmsim.measurement import METERS
from llmsim.testing import MeterConformance
from llmsim_zeus import meter as meter_module
from llmsim_zeus.meter import ZeusMeter

from .made_up import AmdSmi, MadeUpCPU, MadeUpCPUs, MadeUpGPU, MadeUpGPUs, MadeUpSoC, daemon


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(meter_module, "CALIBRATION_S", 0.2)
    monkeypatch.setattr(meter_module, "LONGEST_PERIOD_S", 0.3)
    monkeypatch.setattr(meter_module, "POWER_PERIOD_S", 0.01)


@pytest.fixture
def host(monkeypatch):
    """What Zeus finds: only what a test gives."""

    def has(**devices):
        for name, device in devices.items():
            monkeypatch.setattr(zeus.device, f"get_{name}", lambda device=device: device)

    return has


@pytest.fixture
def opened():
    meters = []

    def over(**settings):
        meters.append(ZeusMeter(**settings))
        return meters[-1]

    yield over
    for item in meters:
        item.close()


def window(meter, seconds=0.3):
    assert meter.unavailable() is None
    meter.start()
    time.sleep(seconds)
    return meter.stop()


class TestGPUs(MeterConformance):
    @pytest.fixture(autouse=True)
    def _host(self, host):
        host(gpus=MadeUpGPUs(MadeUpGPU(0), MadeUpGPU(1, counter="none")))

    def open_meter(self):
        return ZeusMeter()


class TestSoC(MeterConformance):
    @pytest.fixture(autouse=True)
    def _host(self, host):
        host(soc=MadeUpSoC(AppleSiliconMeasurement, cpu_total_mj=20.0))

    def open_meter(self):
        return ZeusMeter()


def test_a_counter_that_moves_gives_the_power_that_moved_it(host, opened):
    host(gpus=MadeUpGPUs(MadeUpGPU(3, watts=250)))
    (reading,) = window(opened())
    assert reading.power_w == pytest.approx(250, rel=0.06)
    assert (reading.source, reading.scope, reading.method) == ("gpu3", "gpu_boards", "measured")
    assert reading.how == "energy_counter"
    assert reading.conditions["temperature_c"] == 61
    (told,) = opened().describe()
    assert told["period_s"] == pytest.approx(0.01, rel=0.3)
    assert told["power_limit_w"] == 300


@pytest.mark.parametrize("counter", ["none", "frozen"])
def test_a_gpu_without_a_counter_that_moves_is_read_by_its_power(host, opened, counter):
    host(gpus=MadeUpGPUs(MadeUpGPU(0, counter=counter, power=180)))
    (reading,) = window(opened())
    assert reading.how == "integrated_power"
    assert reading.power_w == pytest.approx(180)


def test_a_counter_that_goes_back_or_is_lost_leaves_its_window_without_joules(host, opened):
    gpu = MadeUpGPU(0)
    host(gpus=MadeUpGPUs(gpu))
    meter = opened()
    assert window(meter)[0].energy_j > 0
    meter.start()
    time.sleep(0.15)
    gpu.taken_mj = gpu.get_total_energy_consumption()
    time.sleep(0.15)
    (reading,) = meter.stop()
    assert reading.energy_j is None
    assert "went back" in reading.warnings[0]
    assert window(meter)[0].energy_j > 0
    gpu.counter = "lost"
    (reading,) = window(meter)
    assert reading.energy_j is None
    assert "gpu0 could not be read any more: the GPU is lost" in reading.warnings


@pytest.mark.parametrize(
    ("gpus", "settings", "uuids", "words"),
    [
        ([MadeUpGPU(0, counter="none", power="none")], {}, None, "neither an energy counter nor power"),
        ([MadeUpGPU(0, counter="frozen", power="none")], {}, None, "did not move in 0.3 s"),
        ([MadeUpGPU(0)], {"devices": [4]}, None, r"no GPU of number \[4\]; Zeus sees: 0 .Made-up GPU."),
        ([MadeUpGPU(0)], {}, ["GPU-ab"], "identities ab.*set meter.devices"),
        ([MadeUpGPU(0)], {"read": ["gpus", "cpus"]}, None, "no CPU package"),
        ([MadeUpGPU(0)], {}, [], "no GPU: this work is done on none; no CPU package"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(host, opened, gpus, settings, uuids, words):
    host(gpus=MadeUpGPUs(*gpus))
    meter = opened(**settings)
    if uuids is not None:
        meter.only(uuids)
    reason = meter.unavailable()
    with pytest.raises(InputError, match=words):
        meter.start()
    assert reason


def test_apples_counters_are_its_models_and_do_not_overlap(host, opened):
    parts = {"cpu_total_mj": 10.0, "gpu_mj": 6.0, "dram_mj": 2.0, "performance_core_manager_mj": 1.0}
    host(soc=MadeUpSoC(AppleSiliconMeasurement, **parts))
    (reading,) = window(opened())
    assert reading.power_w == pytest.approx(18, rel=0.06)
    assert (reading.scope, reading.method) == ("soc_cpu+gpu+dram", "estimated")
    assert reading.how == "energy_model"


def test_a_jetsons_rails_are_its_input_or_else_its_parts(host, opened):
    host(soc=MadeUpSoC(JetsonMeasurement, cpu_energy_mj=5.0, gpu_energy_mj=15.0, total_energy_mj=30.0))
    meter = opened()
    (reading,) = window(meter)
    assert reading.power_w == pytest.approx(30, rel=0.15)
    assert (reading.scope, reading.method, reading.how) == ("soc_total", "measured", "integrated_power")
    assert meter.least_window_s() == pytest.approx(0.6)
    host(soc=MadeUpSoC(JetsonMeasurement, cpu_energy_mj=5.0, gpu_energy_mj=15.0))
    assert window(opened())[0].scope == "soc_cpu+gpu"


def test_packages_and_their_memory_are_read_where_asked(host, opened):
    host(cpus=MadeUpCPUs(MadeUpCPU(0), MadeUpCPU(1, dram=False)))
    readings = window(opened(read=["cpus", "dram"]))
    assert [(item.source, item.scope) for item in readings] == [
        ("package-0", "cpu_packages"), ("package-1", "cpu_packages"), ("dram-0", "dram"),
    ]  # fmt: skip
    assert [item.power_w for item in readings] == pytest.approx([80, 80, 8], rel=0.05)
    assert [item.source for item in window(opened())] == ["package-0", "package-1"]


@pytest.fixture
def amd(monkeypatch, host):
    """Zeus's own code of AMD's GPUs over a made-up driver."""

    def over(**settings):
        _hip_to_amdsmi_handle.cache_clear()
        monkeypatch.setattr("zeus.device.gpu.amd.amdsmi", AmdSmi(**settings))
        host(gpus=AMDGPUs())

    yield over
    _hip_to_amdsmi_handle.cache_clear()


def test_both_dies_of_a_package_are_read_once(amd, opened):
    amd()
    meter = opened()
    (reading,) = window(meter)
    assert reading.power_w == pytest.approx(400, rel=0.06)
    assert reading.source == "gpu0"
    assert "gpu0 counts both dies of its package, gpu1 too" in reading.warnings
    (told,) = meter.describe()
    assert (told["power_limit_w"], told["default_power_limit_w"]) == (500, 560)
    assert "Use GPU 0" in opened(devices=[1]).unavailable()


def test_a_counter_that_zeus_finds_false_is_replaced_by_power_and_identities_are_hips(amd, opened):
    amd(name="AMD Instinct MI300X", dies=1, honest=False)
    meter = opened()
    meter.only(["30303131-3232-3333-3434-353536363030"])  # as torch writes HIP's 0011223344556600
    (reading,) = window(meter)
    assert reading.how == "integrated_power"
    assert reading.power_w == pytest.approx(400)
    assert reading.conditions["card"] == meter.describe()[0]["card"]


@pytest.fixture
def rapl(tmp_path, monkeypatch):
    """A folder where Zeus's own code of CPU packages looks for the kernel's files."""
    monkeypatch.setattr(zeus.device.cpu.rapl, "RAPL_DIR", str(tmp_path))
    monkeypatch.setattr(zeus.device, "get_cpus", zeus.device.cpu.rapl.RAPLCPUs)
    zeus.device.cpu.rapl.rapl_is_available.cache_clear()
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    yield zone
    zeus.device.cpu.rapl.rapl_is_available.cache_clear()


def test_packages_are_read_off_the_kernels_files(rapl, opened):
    for name, text in (("name", "package-0"), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")):
        (rapl / name).write_text(text)
    assert "the counter of package-0 (RAPLCPU) did not move" in opened().unavailable()


def test_packages_are_read_by_zeuss_daemon_without_the_files(rapl, tmp_path, monkeypatch, opened):
    monkeypatch.setenv("ZEUSD_SOCK_PATH", str(tmp_path / "socket"))
    assert "Cannot reach Zeusd" in opened(read=["cpus"]).unavailable()
    with daemon(tmp_path / "socket", watts=95):
        meter = opened(read=["cpus"])
        assert meter.unavailable() is None
        (reading,) = window(meter, 1.5 * meter.least_window_s())
        meter.close()
    assert reading.power_w == pytest.approx(95, rel=0.06)
    assert (reading.source, reading.how) == ("package-0", "rapl")


def test_packages_that_only_root_reads_ask_for_zeuss_daemon(monkeypatch, opened):
    def denied():
        raise ZeusCPUNoPermissionError("denied")

    monkeypatch.setattr(zeus.device, "get_cpus", denied)
    assert "ZEUSD_SOCK_PATH" in opened(read=["cpus"]).unavailable()


def test_zeus_itself_says_of_this_host_what_there_is_or_what_to_do(opened):
    reason = opened().unavailable()
    if reason is not None:
        assert "Zeus finds nothing to read here: no SoC" in reason
        assert "ROCm" in reason
        assert "RAPL" in reason


def test_it_is_chosen_by_name_with_options_of_its_own():
    config = load_config(["meter=zeus", "meter.read=[cpus]", "meter.devices=[1]"])
    meter = METERS.build(config.meter)
    assert isinstance(meter, ZeusMeter)
    assert (meter.read, meter.devices) == (["cpus"], [1])
    with pytest.raises(InputError, match=r"meter\.read=gpu: some of soc, gpus"):
        ZeusMeter(read=["gpu"])
