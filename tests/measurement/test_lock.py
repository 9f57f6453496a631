import os
import tempfile
from types import SimpleNamespace

import pytest

from llmsim.errors import InputError
from llmsim.measurement.lock import backend_locks, device_lock


def test_a_device_is_measured_by_one_at_a_time(tmp_path):
    with (
        device_lock("cuda:0", tmp_path),
        pytest.raises(InputError, match=f"process {os.getpid()}"),
        device_lock("cuda:0", tmp_path),
    ):
        pass


def test_a_lock_ends_with_its_block(tmp_path):
    for _ in range(2):
        with device_lock("cpu", tmp_path):
            pass


def test_devices_are_locked_apart(tmp_path):
    with device_lock("cpu", tmp_path), device_lock("cuda:0", tmp_path):
        pass


def test_a_lock_that_cannot_be_opened_says_so(tmp_path):
    (tmp_path / "llmsim-cpu.lock").mkdir()
    with (
        pytest.raises(InputError, match=r"llmsim-cpu\.lock: the lock of the device cannot be opened"),
        device_lock("cpu", tmp_path),
    ):
        pass


def test_one_gpu_under_two_names_is_measured_by_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = (SimpleNamespace(gpu_uuids=lambda uuid=uuid: (uuid,)) for uuid in ("GPU-1", "GPU-2"))
    silent = SimpleNamespace()
    with backend_locks([("cuda", one), ("tpu", silent)]), backend_locks([("cuda:1", other)]):
        for device, backend in (("cuda:0", one), ("tpu", silent)):
            with pytest.raises(InputError, match="is being measured by"), backend_locks([(device, backend)]):
                pass
