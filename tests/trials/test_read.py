"""The user's own measurements: what is understood, and what each refusal says."""

import numpy as np
import pytest

from llmsim import trials
from llmsim.errors import InputError
from llmsim.trials import read, template, write

HEADER = "system,model,n_devices,precision,kv_cache,batch,tau_in,tau_out,method,scope,runtime_s,energy_j"
ROW = "s,m,1,bf16,false,1,9,16,measured,gpu_boards,0.5,70"


@pytest.fixture
def file(tmp_path):
    def write_lines(*lines):
        (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / "mine.csv"

    return write_lines


def test_the_template_is_read(file):
    table = read(file(template()))
    assert len(table) == 2
    assert table["energy_j"].tolist() == [73.3, 1330.8]
    assert np.isnan(table["cpu_energy_j"]).all()


def test_the_shipped_trials_survive_writing_and_reading(tmp_path):
    shipped = trials.shipped()
    write(shipped, tmp_path / "all.csv")
    assert read(tmp_path / "all.csv").sha256 == shipped.sha256


def test_columns_may_be_left_out_or_come_in_another_order(file):
    backwards = [",".join(reversed(line.split(","))) for line in (HEADER, ROW)]
    table = read(file(*backwards))
    assert table["tau_out"].tolist() == [16]
    assert table["power_cap"].tolist() == ["none"]
    assert table["source"].tolist() == ["mine.csv"]


def test_energy_that_was_not_measured_is_absent(file):
    assert np.isnan(read(file(HEADER, ROW[:-2]))["energy_j"]).all()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",9,", ",9.5,", r"line 3, column 'tau_in': '9.5' is not a whole number"),
        (",9,", ",nine,", r"column 'tau_in': 'nine' is not a number"),
        (",9,", ",1_000,", r"column 'tau_in': '1_000' is not a number"),
        (",9,", ",١٢,", r"column 'tau_in': '١٢' is not a number"),
        (",9,", ",-9,", r"column 'tau_in': '-9' is not between 1 and"),
        (",9,", ",1e12,", r"column 'tau_in': '1e12' is not between 1 and"),
        (",9,", ",,", r"column 'tau_in': '' is empty"),
        (",0.5,", ",nan,", r"column 'runtime_s': 'nan' is not a finite number"),
        (",0.5,", ",1e400,", r"column 'runtime_s': '1e400' is not a finite number above 0"),
        (",0.5,", ",0_5,", r"column 'runtime_s': '0_5' is not a number"),
        (",0.5,", ",0,", r"column 'runtime_s': '0' is not a finite number above 0"),
        (",0.5,", ",,", r"column 'runtime_s': '' is empty"),
        (",70", ",-1", r"column 'energy_j': '-1' is not .*Leave it empty where it was not measured"),
        (",70", ",nan", r"column 'energy_j': 'nan' is not a finite number\. Leave it empty where it was not"),
        (",70", ",7٠", r"column 'energy_j': '7٠' is not a number\. Leave it empty"),
        (",false,", ",maybe,", r"column 'kv_cache': 'maybe' is not true or false"),
        (",measured,", ",guessed,", r"column 'method': 'guessed' is not one of measured, estimated"),
        ("s,m,", ",m,", r"column 'system': '' is empty"),
        (",70", "", r"line 3: 11 cells, but the header names 12"),
    ],
)
def test_a_bad_cell_is_named_by_file_line_column_and_value(file, old, new, says):
    with pytest.raises(InputError, match=says) as error:
        read(file(HEADER, ROW, ROW.replace(old, new, 1)))
    assert "mine.csv" in str(error.value)


@pytest.mark.parametrize("quoted", ['"s"x', '"s'])
def test_wrong_quotes_are_refused_by_line(file, quoted):
    with pytest.raises(InputError, match=r"mine\.csv, line 3: not valid CSV"):
        read(file(HEADER, ROW, ROW.replace("s,", f"{quoted},", 1), ROW))


def test_a_row_is_named_by_the_line_that_it_begins_on(file):
    with pytest.raises(InputError, match=r"mine\.csv, line 3, column 'tau_in': 'x'"):
        read(file(HEADER, ROW, ROW.replace("s,", '"s\nt",', 1).replace(",9,", ",x,")))
    with pytest.raises(InputError, match=r"mine\.csv, line 5, column 'tau_in': 'x'"):
        read(file(HEADER, ROW.replace("s,", '"s\nt",', 1), "", ROW.replace(",9,", ",x,")))


def test_a_header_that_is_not_understood_is_refused(file):
    with pytest.raises(InputError, match=r"no such column: 'runtme_s'\. Did you mean 'runtime_s'"):
        read(file(HEADER.replace("runtime_s", "runtme_s"), ROW))
    with pytest.raises(InputError, match=r"missing: tau_out\. Found: system"):
        read(file(HEADER.replace("tau_out,", ""), ROW.replace("16,", "")))
    with pytest.raises(InputError, match="'scope' is there 2 times"):
        read(file(HEADER + ",scope", ROW + ",x"))


def test_a_file_without_trials_is_refused(file, tmp_path):
    with pytest.raises(InputError, match="a header but no rows"):
        read(file(HEADER))
    with pytest.raises(InputError, match="the file is empty"):
        read(file(""))
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "nowhere.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(InputError, match="not a text file"):
        read(tmp_path / "x.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)
