"""Traces in Parquet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.errors import InputError
from llmsim.workload.cells import must_be_time, read_rows
from llmsim.workload.columns import Columns, FloatArray, IntArray, from_table
from llmsim.workload.header import Header, understand

MAGIC = b"PAR1"

UNITS_PER_S: Mapping[str, int] = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
FLOAT_HOLDS = 2**53  # whole numbers up to this are float64s


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_parquet(path: Path) -> tuple[Header, Columns]:
    """Header and columns of a Parquet trace.

    Raises:
        InputError: not readable as Parquet, no rows, columns that are not understood, or a wrong value (with
            its row, counted from 1).
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            header = understand(file.schema_arrow.names, str(path))
            table = file.read(columns=[header.names[position] for position in header.used])
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path}: not readable as Parquet ({reason}).") from None
    if table.num_rows == 0:
        raise InputError(f"{path}: the file has columns but no rows.")
    table = _arrivals_in_seconds(table, header)
    return header, _by_column(table, header) or read_rows(_rows(table, header), header, f"{path}, row")


def _arrivals_in_seconds(table: Any, header: Header) -> Any:
    """The table with arrivals that are durations (pandas' timedelta) as the numbers of seconds they are."""
    import pyarrow as pa

    if header.arrival is None or must_be_time(header.names[header.arrival]):
        return table
    name = header.names[header.arrival]
    column = table.column(name)
    if not pa.types.is_duration(column.type):
        return table
    missing = column.is_null().to_numpy()
    counts = column.cast(pa.int64()).fill_null(0).to_numpy()
    seconds = pa.array(_seconds(counts, UNITS_PER_S[column.type.unit]), pa.float64(), mask=missing)
    return table.set_column(table.schema.get_field_index(name), name, seconds)


def _seconds(counts: IntArray, per_second: int) -> FloatArray:
    """Counts of a part of a second as seconds, each the nearest float64."""
    seconds: FloatArray = counts / per_second  # rounded once, where the counts are exact as float64
    large = np.flatnonzero((counts > FLOAT_HOLDS) | (counts < -FLOAT_HOLDS))
    seconds[large] = [count / per_second for count in counts[large].tolist()]  # integers: once
    return seconds


def _by_column(table: Any, header: Header) -> Columns | None:
    """The columns by Arrow's types; None where a cell must say what is wrong."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for position in header.used:
        name = header.names[position]
        column = table.column(name)
        timed = pa.types.is_timestamp(column.type) and position == header.arrival
        number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if not timed and (not number or (position == header.arrival and must_be_time(name))):
            return None
        wanted = pa.timestamp("ns", column.type.tz) if timed else pa.float64()
        try:
            columns[name] = column.cast(wanted)
        except pa.ArrowInvalid:  # a count or a year that is out of range: the cells say which
            return None
    return from_table(pa.table(columns), header)


def _rows(table: Any, header: Header) -> Iterator[tuple[int, list[str]]]:
    """Each row, counted from 1, as the text that a CSV would have; columns not read are left empty."""
    columns = {position: _texts(table.column(header.names[position])) for position in header.used}
    for row in range(table.num_rows):
        cells = [""] * len(header.names)
        for position, texts in columns.items():
            cells[position] = texts[row]
        yield row + 1, cells


def _texts(column: Any) -> list[str]:
    """A column's values as text; null is empty."""
    import pyarrow as pa

    if pa.types.is_duration(column.type):  # as text it would be a bare count, and its unit lost
        counts = column.cast(pa.int64()).to_pylist()
        return ["" if count is None else f"{count} {column.type.unit}" for count in counts]
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):  # nested values stay as they are
        column = column.cast(pa.string())
    return ["" if value is None else str(value) for value in column.to_pylist()]
