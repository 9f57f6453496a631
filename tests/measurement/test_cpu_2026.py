"""The shipped trials of a CPU: what must hold of times that were measured."""

import numpy as np
import pytest

from llmsim import trials
from llmsim.curves.library import fit

CPU = trials.shipped().where(system="cpu")
# Bytes that a step reads of each model's matrices, in 4 bits, without their scales.
MATRIX_BYTES = {"qwen2_5_0_5b": 0.5 * 494e6, "qwen2_5_1_5b": 0.5 * 1.54e9}
# Twelve channels of DDR5-4800: what the whole socket could read, B/s.
SOCKET_BANDWIDTH = 461e9


def test_energy_is_absent_and_never_nought():
    assert np.isnan(CPU["energy_j"]).all()
    assert CPU.distinct("scope") == ["none"]
    assert CPU.distinct("precision") == ["int4"]


@pytest.mark.parametrize("model", MATRIX_BYTES)
def test_no_step_is_faster_than_reading_its_weights(model):
    decode = CPU.where(model=model, experiment="decode")
    assert len(decode)
    assert (decode["decode_step_s"] > MATRIX_BYTES[model] / SOCKET_BANDWIDTH).all()


@pytest.mark.parametrize("model", MATRIX_BYTES)
def test_both_phases_have_curves_of_time_and_no_joules(model):
    found = fit(CPU, system="cpu", model=model).provenance
    assert set(found["curves"]) == {"prefill", "decode"}
    assert found["energy_absent_because"] == "no measurement"
