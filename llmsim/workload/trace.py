"""Reading a user's or a shipped trace."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from llmsim.errors import InputError
from llmsim.workload.columns import Columns
from llmsim.workload.csv_file import read_csv
from llmsim.workload.header import Header
from llmsim.workload.parquet_file import is_parquet, read_parquet
from llmsim.workload.queries import Queries

# Traces held in the process.
_HELD = 2


def read_trace(path: str | os.PathLike[str], limit: int | None = None) -> Queries:
    """The queries of a CSV or Parquet file, in order of arrival.

    Columns: `tau_in` and `tau_out`, whole tokens of at least 1 (a query of no token cannot be served);
    `arrival_s`, seconds since the start or ISO 8601 times, which are counted from the earliest; optionally
    `accuracy_<model>`, percent. The header of the Azure traces, `TIMESTAMP,ContextTokens,GeneratedTokens`, is
    understood too. Without arrivals all queries arrive at 0. Queries out of order are sorted; those of equal
    arrival keep the file's order. What was done is said in `notes`.

    Args:
        path: the file; Parquet is told by its content.
        limit: keep the first `limit` queries in order of arrival. The whole file is checked all the same.

    Raises:
        InputError: the file cannot be read, is not a trace, or has a wrong value (file, line, column, value).
    """
    file = Path(path)
    try:
        with contextlib.suppress(RuntimeError):  # no such user: the name is taken as it stands
            file = file.expanduser()
        _require_file(file)
        state = file.stat()
        queries = _read(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}).") from None
    return take_first(queries, limit, "limit")


@lru_cache(maxsize=_HELD)
def _read(file: Path, changed_ns: int, size: int) -> Queries:
    """The file as it is now: the jobs of a sweep in one process read it once."""
    header, columns = read_parquet(file) if is_parquet(file) else _read_text(file)
    queries = _in_order(header, columns, file)
    for column in (queries.arrival_s, queries.tau_in, queries.tau_out, *queries.accuracy_pct.values()):
        column.flags.writeable = False  # they are shared
    return queries


def take_first(queries: Queries, limit: int | None, where: str) -> Queries:
    """The first `limit` queries, all of them where it is None; raises InputError when it is under 1."""
    if limit is None:
        return queries
    if limit < 1:
        raise InputError(f"{where}={limit}: at least 1 query is needed (null takes all).")
    if limit >= len(queries):
        return queries
    first = queries.take(np.arange(limit, dtype=np.int64))
    note = f"Only the first {limit:,} of {len(queries):,} queries are taken."
    return dataclasses.replace(first, notes=(*first.notes, note))


def _read_text(file: Path) -> tuple[Header, Columns]:
    """A CSV; a file that is called Parquet and is none is not taken for one."""
    if file.suffix.casefold() in (".parquet", ".pq"):
        if file.stat().st_size == 0:
            raise InputError(f"{file}: the file is empty.")
        raise InputError(f"{file}: not readable as Parquet (it does not begin as Parquet files do).")
    return read_csv(file)


def _require_file(file: Path) -> None:
    """Raises InputError, with the nearest name, unless there is such a file."""
    if file.is_dir():
        raise InputError(f"{file}: is a directory; name one CSV or Parquet file in it.")
    if file.exists():
        if not file.is_file():
            raise InputError(f"{file}: is not a regular file; a trace is read more than once.")
        return
    folder = file.parent
    if not folder.is_dir():
        raise InputError(f"{file}: no such file; the folder {folder} does not exist.")
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.5)
    guess = f" Did you mean '{folder / near[0]}'?" if near else ""
    raise InputError(f"{file}: no such file.{guess}")


def _in_order(header: Header, columns: Columns, file: Path) -> Queries:
    """Queries by arrival, with notes of what was done to the file's columns."""
    notes: list[str] = []
    arrival_s = columns.arrival_s
    if arrival_s is None:
        arrival_s = np.zeros(len(columns.tau_in))
        notes.append("All queries arrive at 0 s: the file has no arrivals.")
    if columns.first_arrival is not None:
        notes.append(f"Arrivals are times of day; 0 s is {columns.first_arrival}.")
    if header.ignored:
        notes.append(f"Columns not read: {', '.join(name.strip() for name in header.ignored)}.")
    late = int(np.count_nonzero(arrival_s[1:] < np.maximum.accumulate(arrival_s)[:-1]))
    queries = Queries(
        arrival_s,
        columns.tau_in,
        columns.tau_out,
        columns.accuracy_pct,
        name=file.stem,
        source=f"file {file}",
        notes=tuple(notes),
    )
    if not late:
        return queries
    notes.append(f"Sorted by arrival: {late:,} of {len(queries):,} came after a query that arrives later.")
    ordered = queries.take(np.argsort(arrival_s, kind="stable"))
    return dataclasses.replace(ordered, notes=tuple(notes))
