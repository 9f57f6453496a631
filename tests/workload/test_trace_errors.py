"""Every way a trace can be wrong is named: what, where, and what would be right."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from llmsim.errors import InputError
from llmsim.workload import read_trace

GOOD = "arrival_s,tau_in,tau_out\n0,10,20\n1.5,11,21\n"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert str(path) in message, "an error names the file"
    return message


def refusal_of(folder: Path, content: str) -> str:
    path = folder / "t.csv"
    path.write_text(content, encoding="utf-8")
    return refusal(path)


@pytest.mark.parametrize("column", ["tau_in", "tau_out"])
@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("12.5", "'12.5' is not a whole number of tokens"),
        ("abc", "'abc' is not a number"),
        ("0x10", "'0x10' is not a number"),
        ("-3", "'-3' is negative"),
        ("0", "'0' is no token"),
        ("", "'' is empty"),
        ("nan", "'nan' is not a finite number"),
        ("inf", "'inf' is not a finite number"),
        ("-Infinity", "'-Infinity' is not a finite number"),
        ("10000001", "'10000001' is more tokens than any query has (over 10,000,000)"),
        ("1e300", "'1e300' is more tokens"),
        ("9" * 400, "is more tokens"),
    ],
)
def test_a_wrong_count_is_named_by_line_column_and_value(
    tmp_path: Path, column: str, cell: str, says: str
) -> None:
    values = {"tau_in": "11", "tau_out": "21", column: cell}
    message = refusal_of(tmp_path, GOOD + f"2,{values['tau_in']},{values['tau_out']}\n" + "3,1,bad\n")
    assert f"t.csv, line 4, column '{column}': " in message
    assert says in message


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("-1", "'-1' is negative"),
        ("nan", "'nan' is not a finite number"),
        ("inf", "'inf' is not a finite number"),
        ("", "'' is empty"),
        ("noon", "'noon' is neither a number of seconds nor an ISO 8601 time"),
        ("1700157346", "not Unix times"),
        ("2023-11-16 18:15:46", "is a time, but the first arrival is a number of seconds"),
    ],
)
def test_a_wrong_arrival_is_named_by_line_column_and_value(tmp_path: Path, cell: str, says: str) -> None:
    message = refusal_of(tmp_path, GOOD + f"{cell},1,1\n")
    assert "t.csv, line 4, column 'arrival_s': " in message
    assert says in message


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("12", "'12' is not an ISO 8601 time"),
        ("2023-02-30 00:00:00", "is not a time that exists"),
        ("2023-11-16 25:00:00", "is not a time that exists"),
        ("0001-01-01T00:00:00", "is not a year that is understood"),
        ("1768-01-01", "is over 31 years from another arrival"),
        ("2261-01-01", "is over 31 years from another arrival"),
        ("2023-11-16 18:15:46Z", "has an offset from UTC, unlike the first time"),
    ],
)
def test_a_wrong_time_is_named_by_line_column_and_value(tmp_path: Path, cell: str, says: str) -> None:
    content = f"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,1,1\n{cell},1,1\n"
    message = refusal_of(tmp_path, content)
    assert "t.csv, line 3, column 'TIMESTAMP': " in message
    assert says in message


def test_numbers_under_timestamp_are_refused_because_their_unit_is_a_guess(tmp_path: Path) -> None:
    message = refusal_of(tmp_path, "TIMESTAMP,ContextTokens,GeneratedTokens\n12,1,1\n")
    assert "line 2, column 'TIMESTAMP': '12' is not an ISO 8601 time" in message
    assert "seconds go under arrival_s" in message


@pytest.mark.parametrize("cell", ["-0.1", "100.1", "nan", ""])
def test_an_accuracy_that_is_no_percentage_is_refused(tmp_path: Path, cell: str) -> None:
    message = refusal_of(tmp_path, f"tau_in,tau_out,accuracy_llama2_7b\n1,1,50\n1,1,{cell}\n")
    assert f"t.csv, line 3, column 'accuracy_llama2_7b': '{cell}'" in message


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("arrival_s,tau_inn,tau_out", "no column 'tau_in'. Found: arrival_s, tau_inn, tau_out."),
        ("arrival_s,tau_inn,tau_out", "Did you mean 'tau_in' by 'tau_inn'?"),
        ("arrival_s,tau_in", "no column 'tau_out'. Found: arrival_s, tau_in."),
        ("TIMESTAMP,ContextToken,GeneratedTokens", "Did you mean 'tau_in' by 'ContextToken'?"),
        ("arival,tau_in,tau_out", "column 'arival' is not understood. If it holds the arrivals"),
        ("Timestmp,tau_in,tau_out", "column 'Timestmp' is not understood"),
        ("arrival_time,tau_in,tau_out", "column 'arrival_time' is not understood"),
        ("tau_in,tau_in,tau_out", "columns 'tau_in', 'tau_in' (number 1 and 2) both say tau_in"),
        ("tau_in,ContextTokens,tau_out", "columns 'tau_in', 'ContextTokens' (number 1 and 2)"),
        ("tau_in,tau_out,acuracy_llama", "column 'acuracy_llama' is not understood"),
        ("tau_in,tau_out,accuracy_", "column 'accuracy_' names no model"),
        ("accuracy_a,accuracy_a,tau_in,tau_out", "column 'accuracy_a' is there twice"),
        ("0.0,374,44", "The first line must name the columns"),
        ("arrival_s;tau_in;tau_out", "must be separated by commas"),
    ],
)
def test_a_header_that_is_not_understood_says_what_was_found(tmp_path: Path, header: str, says: str) -> None:
    message = refusal_of(tmp_path, f"{header}\n1,1,1\n")
    assert "t.csv, line 1: " in message
    assert says in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "t.csv: the file is empty"),
        ("\n \n", "t.csv: the file is empty"),
        ("tau_in,tau_out\n", "t.csv: the file has a header but no rows"),
        ("tau_in,tau_out\n1,2\n3\n", "t.csv, line 3: 1 cells, but the header names 2 columns"),
        ("tau_in,tau_out\n1,2,3\n", "t.csv, line 2: 3 cells, but the header names 2 columns"),
        ('tau_in,tau_out\n1,2\n"3,4\n5,6\n', "t.csv, line 3: not valid CSV"),
        ("\n\ntau_in,tau_out\n\n1,2\n\n1,x\n", "t.csv, line 7, column 'tau_out': 'x'"),
        ('tau_in,p,tau_out\n1,"a\nb",2\n1,c,x\n', "t.csv, line 4, column 'tau_out': 'x'"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    assert says in refusal_of(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bytes(range(256)), "not a text file"),
        (gzip.compress(GOOD.encode()), "it is compressed (gzip)"),
        (b"PK\x03\x04" + b"\0" * 50, "ZIP archive or a spreadsheet"),
        (GOOD.encode("utf-16"), "it is UTF-16"),
        (b"tau_in,tau_out,name\n1,2,caf\xe9\n", "line 2: not UTF-8 text"),
    ],
)
def test_what_is_not_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert says in refusal(path)


def test_a_missing_file_is_named_with_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(GOOD)
    assert f"no such file. Did you mean '{tmp_path / 'trace.csv'}'?" in refusal(tmp_path / "trcae.csv")
    assert refusal(tmp_path / "zzz").endswith("no such file.")
    assert "the folder" in refusal(tmp_path / "none" / "trace.csv")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    assert "no such file" in refusal(Path("~nobody-of-this-name/t.csv"))


def test_a_folder_and_a_pipe_are_not_traces(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(GOOD)
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refusal(path)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(GOOD)
    with pytest.raises(InputError, match=f"limit={limit}: at least 1 query"):
        read_trace(path, limit=limit)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"tau_in": [1, None], "tau_out": [1, 1]}, ", row 2, column 'tau_in': '' is empty"),
        ({"tau_in": [1.0, 1.5], "tau_out": [1, 1]}, ", row 2, column 'tau_in': '1.5' is not a whole number"),
        (
            {"tau_in": [1, 1], "tau_out": [1.0, float("nan")]},
            ", row 2, column 'tau_out': 'nan' is not a finite",
        ),
        (
            {"tau_in": [1, 2**62], "tau_out": [1, 1]},
            ", row 2, column 'tau_in': '4611686018427387904' is more",
        ),
        ({"tau_in": [1, 1], "tau_out": ["1", "x"]}, ", row 2, column 'tau_out': 'x' is not a number"),
        ({"tau_in": [True, True], "tau_out": [1, 1]}, ", row 1, column 'tau_in': 'true' is not a number"),
        ({"tau_in": [[1], [1]], "tau_out": [1, 1]}, ", row 1, column 'tau_in': '[1]' is not a number"),
        (
            {"TIMESTAMP": [1.0], "tau_in": [1], "tau_out": [1]},
            ", row 1, column 'TIMESTAMP': '1' is not an ISO",
        ),
        (
            {"arrival_s": pa.array([0, None], pa.duration("ms")), "tau_in": [1, 1], "tau_out": [1, 1]},
            ", row 2, column 'arrival_s': '' is empty",
        ),
        (
            {"arrival_s": pa.array([0, -500], pa.duration("ms")), "tau_in": [1, 1], "tau_out": [1, 1]},
            ", row 2, column 'arrival_s': '-0.5' is negative",
        ),
        (
            {"arrival_s": pa.array([10**18 + 10**9], pa.duration("ns")), "tau_in": [1], "tau_out": [1]},
            ", row 1, column 'arrival_s': '1000000001' is over 31 years",
        ),
        (
            {"TIMESTAMP": pa.array([500], pa.duration("ms")), "tau_in": [1], "tau_out": [1]},
            ", row 1, column 'TIMESTAMP': '500 ms' is not an ISO 8601 time",
        ),
        (
            {"tau_in": pa.array([7], pa.duration("ns")), "tau_out": [1]},
            ", row 1, column 'tau_in': '7 ns' is not a number",
        ),
        ({"tau_in": [1], "tau_oot": [1]}, ": no column 'tau_out'. Found: tau_in, tau_oot."),
        ({"tau_in": pa.array([], pa.int64()), "tau_out": pa.array([], pa.int64())}, "columns but no rows"),
    ],
)
def test_a_wrong_parquet_is_refused_with_its_row(
    tmp_path: Path, columns: dict[str, object], says: str
) -> None:
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert says in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [b"PAR1 and then nothing", b"not Parquet at all", b""])
def test_an_unreadable_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    assert "not readable as Parquet" in refusal(path) or not content


def test_a_cut_parquet_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"tau_in": [1] * 1000, "tau_out": [2] * 1000}), tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    assert "not readable as Parquet" in refusal(tmp_path / "cut")
