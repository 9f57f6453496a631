"""Traces in Parquet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmsim.errors import InputError
from llmsim.workload.cells import must_be_time, read_rows
from llmsim.workload.columns import Columns, from_table
from llmsim.workload.header import Header, understand

MAGIC = b"PAR1"


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
    return header, _by_column(table, header) or read_rows(_rows(table, header), header, f"{path}, row")


def _by_column(table: Any, header: Header) -> Columns | None:
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
    import pyarrow as pa

    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):  # nested values stay as they are
        column = column.cast(pa.string())
    return ["" if value is None else str(value) for value in column.to_pylist()]
