"""Traces in CSV: by column where every cell is plain, cell by cell where one is not."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from llmsim.errors import InputError
from llmsim.workload.cells import has_zone, is_time, must_be_time, read_rows
from llmsim.workload.columns import Columns, from_table
from llmsim.workload.header import Header, understand

# How much of a file is looked at to tell text from other things.
SNIFFED_BYTES = 65_536

_OTHER_FORMATS: Mapping[bytes, str] = {
    b"\x1f\x8b": "it is compressed (gzip); unpack it first",
    b"PK\x03\x04": "it is a ZIP archive or a spreadsheet; save the sheet as CSV",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
}


def read_csv(path: Path) -> tuple[Header, Columns]:
    """Header and columns of a CSV trace.

    Raises:
        InputError: not text, no rows, a header that is not understood, or a wrong cell (with its line).
        OSError: the file cannot be read.
    """
    _require_text(path)
    rows = _rows(path)
    line, names = next(rows, (0, []))
    if not names:
        raise InputError(f"{path}: the file is empty.")
    header = understand(names, f"{path}, line {line}")
    _, first = next(rows, (0, []))
    if not first:
        raise InputError(f"{path}: the file has a header but no rows.")
    columns = _by_column(path, header, first) if line == 1 else None
    if columns is None:
        rows = _rows(path)
        next(rows)
        columns = read_rows(rows, header, f"{path}, line")
    return header, columns


def _require_text(path: Path) -> None:
    """Raises InputError, saying what it is instead, unless the file begins as text."""
    with path.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
    for magic, what in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise InputError(f"{path}: not a text file: {what}.")
    if b"\0" in start:
        raise InputError(f"{path}: not a text file; a trace is CSV or Parquet.")
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut where the sniffed part ends.
        if len(start) < SNIFFED_BYTES or error.start < SNIFFED_BYTES - 4:
            line = start[: error.start].count(b"\n") + 1
            raise InputError(f"{path}, line {line}: not UTF-8 text; a trace is CSV or Parquet.") from None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line each row begins on, and its cells; blank lines are passed over."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        try:
            for cells in reader:
                if len(cells) > 1 or (cells and cells[0].strip()):
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path}, line {line}: not valid CSV ({error}).") from None


def _by_column(path: Path, header: Header, first: list[str]) -> Columns | None:
    """The columns by Arrow's typed reader; None when it does not accept every cell.

    Whole columns are read as float64, which holds every count up to the limit exactly and, unlike Arrow's
    integers, takes neither hexadecimal nor a silent overflow.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if len(first) != len(header.names) or len(set(header.names)) != len(header.names):
        return None
    types = {header.names[position]: pa.float64() for position in header.used}
    if header.arrival is not None:
        name, cell = header.names[header.arrival], first[header.arrival]
        if is_time(cell):
            types[name] = pa.timestamp("ns", "UTC" if has_zone(cell) else None)
        elif must_be_time(name):
            return None
    options = arrow_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])
    try:
        table = arrow_csv.read_csv(
            path, parse_options=arrow_csv.ParseOptions(newlines_in_values=True), convert_options=options
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    return from_table(table, header)
