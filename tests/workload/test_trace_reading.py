"""What `read_trace` understands, and the laws that hold for every trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from llmsim.errors import InputError
from llmsim.workload import Queries, read_trace
from llmsim.workload.cells import read_rows
from llmsim.workload.columns import MAX_ARRIVAL_S, MAX_TOKENS
from llmsim.workload.csv_file import read_csv
from llmsim.workload.header import understand
from llmsim.workload.settings import shipped_path

NAMES = ["arrival_s", "tau_in", "tau_out", "accuracy_small"]

tokens = st.integers(1, MAX_TOKENS)
seconds = st.floats(0, MAX_ARRIVAL_S)
rows = st.lists(st.tuples(seconds, tokens, tokens, st.floats(0, 100)), min_size=1, max_size=30)


def write(path: Path, names: Sequence[str], lines: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *lines])
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@given(rows)
def test_a_written_trace_is_read_back_exactly(
    folder: Path, lines: list[tuple[float, int, int, float]]
) -> None:
    lines.sort(key=lambda line: line[0])
    queries = read_trace(write(folder / "trip.csv", NAMES, lines))
    arrival, tau_in, tau_out, accuracy = zip(*lines, strict=True)
    assert queries.arrival_s.tolist() == list(arrival)
    assert queries.tau_in.tolist() == list(tau_in)
    assert queries.tau_out.tolist() == list(tau_out)
    assert queries.accuracy_pct["small"].tolist() == list(accuracy)
    assert (queries.arrival_s.dtype, queries.tau_in.dtype, queries.tau_out.dtype) == (
        float,
        np.int64,
        np.int64,
    )


@given(rows)
def test_csv_and_parquet_of_one_table_are_one_workload(
    folder: Path, lines: list[tuple[float, int, int, float]]
) -> None:
    from_csv = read_trace(write(folder / "both.csv", NAMES, lines))
    columns = dict(zip(NAMES, map(list, zip(*lines, strict=True)), strict=True))
    parquet.write_table(pa.table(columns), folder / "both.parquet")
    assert_same(from_csv, read_trace(folder / "both.parquet"))


@given(rows)
def test_sorting_keeps_every_token_and_the_order_of_equals(
    folder: Path, lines: list[tuple[float, int, int, float]]
) -> None:
    coarse = [(float(math.floor(line[0]) % 4), index + 1, *line[2:]) for index, line in enumerate(lines)]
    queries = read_trace(write(folder / "order.csv", NAMES, coarse))
    assert queries.tau_in.sum() == sum(line[1] for line in coarse)
    assert queries.tau_out.sum() == sum(line[2] for line in coarse)
    # tau_in counts the lines: a stable sort is one by (arrival, line).
    expected = sorted((line[0], line[1]) for line in coarse)
    assert list(zip(queries.arrival_s.tolist(), queries.tau_in.tolist(), strict=True)) == expected
    out_of_order = coarse != sorted(coarse, key=lambda line: line[0])
    assert any("Sorted by arrival" in note for note in queries.notes) == out_of_order


ODD_CELLS = [
    *[
        "",
        " ",
        "0x10",
        "1_000",
        "1e3",
        "12.0",
        " 7 ",
        "+5",
        "5.",
        ".5",
        "007",
        "1,5",
        "-0",
        "1e400",
        "1e-400",
    ],
    *["nan", "NA", "null", "inf", "-inf", "true", "--1", "1 2", "é", "١٢", '"', "x\ny", "9" * 400],
    *["2023-11-16 18:15:46.6805900", "2023-11-16T18:15:46Z", "2023-02-30"],
]

cells = st.one_of(
    st.integers(-5, 20).map(str),
    st.integers(MAX_TOKENS - 1, MAX_TOKENS + 1).map(str),
    st.floats(allow_nan=True, allow_infinity=True, width=32).map(str),
    st.floats(0, 120).map(str),
    st.sampled_from(ODD_CELLS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)


@given(st.integers(1, 6), st.data())
def test_a_corrupted_cell_is_refused_by_line_and_column_or_is_a_value(
    folder: Path, n_rows: int, data: st.DataObject
) -> None:
    lines: list[list[Any]] = [[f"{row}.5", "10", "20", "50.0"] for row in range(n_rows)]
    row, column = data.draw(st.integers(0, n_rows - 1)), data.draw(st.integers(0, 3))
    cell = data.draw(cells)
    lines[row][column] = cell
    path = write(folder / "corrupt.csv", NAMES, lines)
    header = understand(NAMES, "header")
    try:
        expected = read_rows(enumerate(lines, 2), header, "line")
    except InputError as error:
        with pytest.raises(InputError) as caught:
            read_trace(path)
        place = str(error).split(":")[0].removeprefix("line")
        # A first arrival that is a valid time makes the next line's number the wrong one.
        assert place.startswith((f" {row + 2}, column '{NAMES[column]}'", " 3, column 'arrival_s'"))
        if "\n" not in cell and "\r" not in cell:
            assert f"corrupt.csv, line{place}: " in str(caught.value)
        return
    _, columns = read_csv(path)
    assert columns.tau_in.tolist() == expected.tau_in.tolist()
    assert columns.tau_out.tolist() == expected.tau_out.tolist()
    assert columns.accuracy_pct["small"].tolist() == expected.accuracy_pct["small"].tolist()
    assert columns.arrival_s is not None
    assert expected.arrival_s is not None
    assert columns.arrival_s.tolist() == expected.arrival_s.tolist()


# Any 30 years: a trace of more is refused.
moments = st.integers(1700, 2200).flatmap(
    lambda year: st.lists(
        st.datetimes(datetime(year, 1, 1), datetime(year + 30, 1, 1)), min_size=1, max_size=10
    )
)


@given(moments, st.sampled_from(["", "Z", "+02:30"]), st.booleans())
def test_times_are_read_alike_by_column_and_cell_by_cell(
    folder: Path, times: list[Any], zone: str, with_t: bool
) -> None:
    lines = [[time.isoformat("T" if with_t else " ") + zone, "3", "4"] for time in times]
    names = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
    queries = read_trace(write(folder / "times.csv", names, lines))
    slow = read_rows(enumerate(lines, 2), understand(names, ""), "").arrival_s
    assert slow is not None
    assert queries.arrival_s.tolist() == sorted(slow.tolist())
    expected = sorted((time - min(times)).total_seconds() for time in times)
    np.testing.assert_allclose(queries.arrival_s, expected, rtol=1e-15, atol=1e-9)


@pytest.mark.parametrize("column", ["TIMESTAMP", "arrival_s"])
def test_the_azure_format_is_read_as_seconds_since_the_first(tmp_path: Path, column: str) -> None:
    path = text(
        tmp_path / "azure.csv",
        f"{column},ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n"
        "2023-11-16 18:15:50.9951690,396,109\r\n",
    )
    queries = read_trace(path)
    assert queries.arrival_s.tolist() == [0, 4.314579]
    assert queries.tau_in.tolist() == [374, 396]
    assert queries.tau_out.tolist() == [44, 109]
    assert "0 s is 2023-11-16T18:15:46.680590000" in queries.notes[0]


@pytest.mark.parametrize(
    ("content", "n"),
    [
        ("\ufefftau_in,tau_out\n1,2\n", 1),
        ("tau_in,tau_out\r\n1,2\r\n3,4", 2),
        ("\n\ntau_in,tau_out\n\n1,2\n   \n3,4\n\n", 2),
        (" Tau_In , TAU_OUT \n1,2\n", 1),
        ('"tau_in","tau_out"\n"1","2"\n', 1),
        ("tau_in,tau_out\n12.0,1e3\n", 1),
        ('tau_in,prompt,tau_out\n1,"a,\nb",2\n3,c,4\n', 2),
    ],
)
def test_ordinary_ways_of_writing_csv_are_understood(tmp_path: Path, content: str, n: int) -> None:
    assert len(read_trace(text(tmp_path / "t.csv", content))) == n


def test_a_trace_without_arrivals_comes_all_at_once_and_says_so(tmp_path: Path) -> None:
    queries = read_trace(text(tmp_path / "t.csv", "tau_in,tau_out,comment\n1,2,x\n3,4,y\n"))
    assert queries.arrival_s.tolist() == [0, 0]
    assert queries.notes == (
        "All queries arrive at 0 s: the file has no arrivals.",
        "Columns not read: comment.",
    )


def test_arrivals_out_of_order_are_sorted_and_counted(tmp_path: Path) -> None:
    queries = read_trace(text(tmp_path / "t.csv", "arrival_s,tau_in,tau_out\n5,1,1\n2,2,1\n3,3,1\n9,4,1\n"))
    assert queries.tau_in.tolist() == [2, 3, 1, 4]
    assert queries.notes == ("Sorted by arrival: 2 of 4 came after a query that arrives later.",)


def test_a_limit_takes_the_first_to_arrive(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", "arrival_s,tau_in,tau_out\n5,1,1\n2,2,1\n3,3,1\n")
    assert read_trace(path, limit=2).tau_in.tolist() == [2, 3]
    assert read_trace(path, limit=2).notes[-1] == "Only the first 2 of 3 queries are taken."
    assert_same(read_trace(path, limit=99), read_trace(path))


def test_parquet_is_told_by_its_content_and_may_hold_times_and_text(tmp_path: Path) -> None:
    times = pa.array([1_000_000, 3_500_000], pa.timestamp("us", "UTC"))
    parquet.write_table(
        pa.table({"TIMESTAMP": times, "tau_in": ["1", "2"], "tau_out": [3.0, 4.0]}), tmp_path / "t"
    )
    queries = read_trace(tmp_path / "t")
    assert queries.arrival_s.tolist() == [0, 2.5]
    assert (queries.tau_in.tolist(), queries.tau_out.tolist()) == ([1, 2], [3, 4])


UNITS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
durations = st.sampled_from(sorted(UNITS_PER_S)).flatmap(
    lambda unit: st.tuples(
        st.just(unit),
        st.lists(st.integers(0, int(MAX_ARRIVAL_S) * UNITS_PER_S[unit]), min_size=1, max_size=10),
    )
)


@given(durations)
def test_durations_are_read_as_the_nearest_number_of_seconds(
    folder: Path, counted: tuple[str, list[int]]
) -> None:
    unit, counts = counted
    table = pa.table(
        {
            "arrival_s": pa.array(counts, pa.duration(unit)),
            "tau_in": [1] * len(counts),
            "tau_out": [1] * len(counts),
        }
    )
    parquet.write_table(table, folder / "durations.parquet")
    expected = sorted(float(Fraction(count, UNITS_PER_S[unit])) for count in counts)
    assert read_trace(folder / "durations.parquet").arrival_s.tolist() == expected


def test_timedeltas_of_pandas_are_seconds(tmp_path: Path) -> None:
    import pandas as pd

    arrival = pd.to_timedelta(["500ms", "2s", "1 day 1ns"])
    pd.DataFrame({"arrival_s": arrival, "tau_in": 1, "tau_out": 2}).to_parquet(tmp_path / "t.parquet")
    assert read_trace(tmp_path / "t.parquet").arrival_s.tolist() == [0.5, 2.0, 86_400.000000001]


@pytest.mark.parametrize("kind", ["csv", "parquet", "azure", "shipped"])
def test_a_plain_trace_is_read_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read cell by cell")

    monkeypatch.setattr("llmsim.workload.csv_file.read_rows", never)
    monkeypatch.setattr("llmsim.workload.parquet_file.read_rows", never)
    path = tmp_path / "t"
    if kind == "csv":
        text(path, "arrival_s,tau_in,tau_out,accuracy_a,note\n0,1,2,50,x\n\n1.5,12.0,1e3,0,y\n")
    elif kind == "azure":
        text(path, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    elif kind == "parquet":
        parquet.write_table(pa.table({"arrival_s": [0, 1], "tau_in": [1, 2], "tau_out": [1.0, 2.0]}), path)
    else:
        path = shipped_path("azure_2023_conv.csv")
    assert len(read_trace(path)) >= 1


def test_a_path_may_be_text_and_name_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text(tmp_path / "t.csv", "tau_in,tau_out\n1,2\n")
    assert len(read_trace("~/t.csv")) == 1


def assert_same(one: Queries, other: Queries) -> None:
    assert one.arrival_s.tolist() == other.arrival_s.tolist()
    assert one.tau_in.tolist() == other.tau_in.tolist()
    assert one.tau_out.tolist() == other.tau_out.tolist()
    assert one.accuracy_pct.keys() == other.accuracy_pct.keys()
    for model, column in one.accuracy_pct.items():
        assert column.tolist() == other.accuracy_pct[model].tolist()
    assert one.notes == other.notes
