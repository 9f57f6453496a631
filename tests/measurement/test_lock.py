import os

import pytest

from llmsim.errors import InputError
from llmsim.measurement.lock import device_lock


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
