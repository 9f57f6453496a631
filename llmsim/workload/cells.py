"""Reading a trace cell by cell: slower than by column, and able to say which cell is wrong.

This is the reference that the fast readers are held against. They hand over whatever they do not accept;
it then either names the first wrong cell, or accepts a spelling that they do not know.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from llmsim.cells import Cell, not_finite, number, shown
from llmsim.errors import InputError
from llmsim.workload.columns import MAX_ARRIVAL_S, MAX_TOKENS, NANOSECONDS, Columns, seconds_since_first
from llmsim.workload.header import Header

_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"([T ](?P<minute>\d\d:\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EXAMPLE = "such as 2023-11-16 18:15:46.68"


def read_rows(rows: Iterable[tuple[int, Sequence[str]]], header: Header, where: str) -> Columns:
    """The columns of a trace, from its rows.

    Args:
        rows: the number of each row and its cells, one for each name in the header.
        header: which cell is which.
        where: what a row's number counts, for errors, such as ``trace.csv, line``.

    Raises:
        InputError: the first row with a wrong number of cells, or the first wrong cell.
    """
    store = {position: array("d") for position in header.used}
    times: list[int] = []
    width = len(header.names)
    readers: list[tuple[int, Callable[[str], float]]] = []
    clock: Callable[[str], int] | None = None
    for place, cells in rows:
        if len(cells) != width:
            raise InputError(f"{where} {place}: {len(cells)} cells, but the header names {width} columns.")
        if not readers:
            clock = _clock(header, cells)
            readers = _readers(header, with_arrival=clock is None)
        position = -1
        try:
            for position, read in readers:
                store[position].append(read(cells[position]))
            if clock is not None and header.arrival is not None:
                position = header.arrival
                times.append(clock(cells[position]))
        except Cell as reason:
            name = header.names[position].strip()
            raise InputError(f"{where} {place}, column '{name}': {shown(cells[position])} {reason}") from None
    return _columns(header, store, times)


def is_time(cell: str) -> bool:
    """Whether a cell holds an ISO 8601 date or time, right or wrong in its figures."""
    return _TIME.fullmatch(cell.strip()) is not None


def must_be_time(name: str) -> bool:
    """Whether a column of this name holds times, never seconds (whose unit and start would be a guess)."""
    return name.strip().casefold() == "timestamp"


def has_zone(cell: str) -> bool:
    """Whether a time states its offset from UTC."""
    match = _TIME.fullmatch(cell.strip())
    return match is not None and match["zone"] is not None


def _readers(header: Header, with_arrival: bool) -> list[tuple[int, Callable[[str], float]]]:
    """What reads each cell of a row, in the order of the file, so that the first wrong cell is named."""
    readers: list[tuple[int, Callable[[str], float]]] = [(header.tau_in, _count), (header.tau_out, _count)]
    readers += [(position, _percentage) for position in header.accuracy.values()]
    if header.arrival is not None and with_arrival:
        readers.append((header.arrival, _seconds))
    return sorted(readers, key=lambda reader: reader[0])


def _clock(header: Header, first_row: Sequence[str]) -> Callable[[str], int] | None:
    """How to read arrivals that are times of day, as the first row has them; None for seconds."""
    if header.arrival is None:
        return None
    cell = first_row[header.arrival]
    if not must_be_time(header.names[header.arrival]) and not is_time(cell):
        return None
    zone = has_zone(cell)
    seen: list[int] = []  # the earliest and the latest so far

    def read(cell: str) -> int:
        """Nanoseconds since 1970; all cells must be alike, and near enough to make seconds of."""
        nanoseconds = _time(cell)
        if has_zone(cell) != zone:
            raise Cell(f"{'lacks' if zone else 'has'} an offset from UTC, unlike the first time.")
        seen[:] = min([nanoseconds, *seen]), max([nanoseconds, *seen])
        if seen[1] - seen[0] > MAX_ARRIVAL_S * NANOSECONDS:
            raise Cell("is over 31 years from another arrival.")
        return nanoseconds

    return read


def _columns(header: Header, store: dict[int, array[float]], times: Sequence[int]) -> Columns:
    """The cells that were read, as arrays."""

    def floats(position: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """A column by its position, shape (n,)."""
        return np.array(store[position], dtype=np.float64)

    arrival_s, first = None, None
    if times:
        arrival_s, first = seconds_since_first(np.array(times, dtype=np.int64))
    elif header.arrival is not None:
        arrival_s = floats(header.arrival)
    return Columns(
        tau_in=floats(header.tau_in).astype(np.int64),
        tau_out=floats(header.tau_out).astype(np.int64),
        arrival_s=arrival_s,
        accuracy_pct={model: floats(position) for model, position in header.accuracy.items()},
        first_arrival=first,
    )


def _count(cell: str) -> float:
    """Tokens of a prompt or an answer."""
    value = number(cell)
    if value > MAX_TOKENS:
        raise Cell(f"is more tokens than any query has (over {MAX_TOKENS:,}).")
    if value < 0:
        raise Cell("is negative; tokens are whole numbers of at least 1.")
    if value == 0:
        raise Cell("is no token: such a query cannot be served. Leave the row out, or give at least 1.")
    if not value.is_integer():
        raise Cell("is not a whole number of tokens.")
    return value


def _percentage(cell: str) -> float:
    """An accuracy, percent."""
    value = number(cell)
    if not 0 <= value <= 100:
        raise Cell("is not a percentage, 0 to 100.")
    return value


def _seconds(cell: str) -> float:
    """An arrival in seconds since the start of the trace."""
    try:
        value = number(cell)
    except Cell:
        if is_time(cell):
            raise Cell(
                "is a time, but the first arrival is a number of seconds; use one of the two."
            ) from None
        if not cell.strip() or not_finite(cell):
            raise
        raise Cell(f"is neither a number of seconds nor an ISO 8601 time, {EXAMPLE}.") from None
    if value < 0:
        raise Cell("is negative; arrivals are seconds since the start of the trace.")
    if value > MAX_ARRIVAL_S:
        raise Cell("is over 31 years; arrivals are seconds since the start of the trace, not Unix times.")
    return value


def _time(cell: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time; without an offset it is taken as UTC."""
    match = _TIME.fullmatch(cell.strip())
    if match is None:
        raise Cell(f"is not an ISO 8601 time, {EXAMPLE}; seconds go under arrival_s.")
    zone = match["zone"] or "+00:00"
    try:
        moment = datetime.fromisoformat(
            f"{match['date']}T{match['minute'] or '00:00'}:{match['second'] or '00'}{zone}"
        )
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        raise Cell("is not a time that exists.") from None
    whole_s = since // timedelta(seconds=1)
    nanoseconds = whole_s * NANOSECONDS + int((match["fraction"] or "").ljust(9, "0"))
    if not np.iinfo(np.int64).min <= nanoseconds <= np.iinfo(np.int64).max:
        raise Cell("is not a year that is understood (1678 to 2261).")
    return nanoseconds
