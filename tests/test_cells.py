"""One rule for numbers in the user's tables, traces and trials alike."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim import trials
from llmsim.cells import SHOWN_CHARACTERS, Cell, number, shown
from llmsim.errors import InputError
from llmsim.workload import read_trace

TRIALS = "system,model,n_devices,precision,kv_cache,batch,tau_in,tau_out,method,scope,runtime_s,energy_j"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_exactly_in_every_usual_writing(value):
    assert number(repr(value)) == value
    assert number(f" {value!r}\t") == value
    assert number(f"{value:.17E}") == value


@given(st.integers())
def test_a_whole_number_is_read_as_the_nearest_float(value):
    assert number(str(value)) == float(value)


@given(
    st.text(st.characters(codec="utf-8"), max_size=8) | st.from_regex(r"[-+.0-9_eE \t]{1,8}", fullmatch=True)
)
def test_nothing_is_read_that_python_would_not_read_and_nothing_in_another_script(cell):
    try:
        value = number(cell)
    except Cell:
        return
    assert value == float(cell)
    assert set(cell) <= set("+-.0123456789eE \t")


@pytest.mark.parametrize("cell", ["1_000", "١٢", "１２", "0x10", "1,5", "\u00a05", "--1", "1 2", "true", "."])
def test_what_only_some_programs_take_for_a_number_is_refused(cell):
    with pytest.raises(Cell, match=r"^is not a number\.$"):
        number(cell)


@pytest.mark.parametrize("cell", ["nan", "NaN", "-inf", "Infinity", " inf "])
def test_what_is_named_but_not_finite_is_told_apart(cell):
    with pytest.raises(Cell, match=r"^is not a finite number\.$"):
        number(cell)


def test_an_empty_cell_is_called_empty_and_a_huge_number_is_infinite():
    for cell in ("", " ", "\u00a0"):
        with pytest.raises(Cell, match=r"^is empty\.$"):
            number(cell)
    assert number("1e400") == math.inf


def test_long_cells_are_quoted_in_part():
    assert shown("x" * SHOWN_CHARACTERS) == repr("x" * SHOWN_CHARACTERS)
    assert shown("x" * 1000) == repr("x" * (SHOWN_CHARACTERS - 3) + "...")


@pytest.mark.parametrize(
    "cell",
    [
        "7", " 7 ", "+7", "7.", "7.0", "0.7e1", "007", "1e400", "1e-400", "-7", "0", "7.5", "1_000", "١٢",
        "7d", "", " ", "nan", "inf", "0x10", "\u00a07", "10000000", "10000001",
    ],
)  # fmt: skip
def test_a_count_is_accepted_in_a_trace_exactly_if_it_is_among_trials(tmp_path, cell):
    def outcome(read, text):
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        try:
            return float(read(tmp_path / "t.csv")[0])
        except InputError as error:
            return str(error).partition("t.csv, ")[2].partition(": ")[0]

    trace = outcome(lambda path: read_trace(path).tau_in, f"tau_in,tau_out\n{cell},1\n")
    row = f"s,m,1,bf16,false,1,{cell},16,measured,gpu_boards,0.5,70"
    assert outcome(lambda path: trials.read(path)["tau_in"], f"{TRIALS}\n{row}\n") == trace
    assert trace in (7.0, 1e7, "line 2, column 'tau_in'")
