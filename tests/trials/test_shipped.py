"""The shipped measurements: what is read, what is left out, what is never made up."""

import numpy as np
import pytest

from llmsim import trials
from llmsim.trials.schema import COLUMNS, NAMES
from llmsim.trials.table import Trials


@pytest.fixture(scope="module")
def shipped() -> Trials:
    return trials.shipped()


def test_every_published_row_is_there(shipped):
    assert len(shipped.where(source="wilkins2024")) == 3569
    assert len(shipped.where(source="splitwise2024")) == 1260


def test_every_column_of_the_schema_has_its_type(shipped):
    kinds = {"text": "U", "int": "i", "float": "f", "bool": "b"}
    assert set(shipped.columns) == set(NAMES)
    for column in COLUMNS:
        assert shipped[column.name].dtype.kind == kinds[column.kind], column.name


def test_whatever_the_files_say_no_batch_of_32_was_measured_without_a_cache(shipped):
    assert shipped.where(source="wilkins2024").distinct("batch") == [1]


def test_usable_rows_hold_no_warm_up_and_no_run_that_stopped_early(shipped):
    usable = shipped.usable()
    assert not usable["warmup"].any()
    assert usable.distinct("outcome") == ["completed"]
    assert set(usable.distinct("quality")) == {"ok", "negative_cpu_energy"}


def test_an_estimated_cpu_energy_is_absent(shipped):
    assert np.isnan(shipped.where(system="swing-a100")["cpu_energy_j"]).all()


def test_energy_on_the_m1_covers_cpu_and_gpu(shipped):
    rows = shipped.where(system="m1-pro")
    assert rows.distinct("scope") == ["soc_gpu+cpu"]
    assert (rows["energy_j"] > rows["cpu_energy_j"]).all()


def test_no_energy_is_made_up_where_no_power_was_recorded_or_it_is_broken(shipped):
    assert np.isnan(shipped.where(system="dgx-h100-80gb")["energy_j"]).all()
    a100 = shipped.where(system="dgx-a100-80gb", model="llama2-70b")
    assert np.isnan(a100.where(tau_in=8192)["energy_j"]).all()
    assert np.isfinite(a100.where(tau_in=2048)["energy_j"]).all()


def test_the_hash_tells_tables_apart_and_only_them(shipped):
    assert shipped.sha256 == trials.shipped().sha256
    assert shipped.sha256 != shipped.take(np.arange(len(shipped)) > 0).sha256
    changed = dict(shipped.columns)
    changed["runtime_s"] = changed["runtime_s"].copy()
    changed["runtime_s"][7] += 1e-9
    assert Trials(changed).sha256 != shipped.sha256


def test_the_power_capped_h100_is_a_copy_and_not_called_a_measurement(shipped):
    h100, capped = (shipped.where(system=f"dgx-h100-80gb{end}") for end in ("", "-powercapped"))
    np.testing.assert_allclose(capped["prefill_s"] / h100["prefill_s"], 1.3, rtol=2e-5)
    np.testing.assert_array_equal(capped["runtime_s"], h100["runtime_s"])
    assert capped.distinct("method") == ["estimated"]
    assert h100.distinct("method") == ["measured"]
