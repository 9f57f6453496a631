"""The table of a sweep: a row a run, overrides and figures as columns."""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmsim.arguments import Value, overrides_of
from llmsim.report.main_figures import FIGURES
from llmsim.sweeps.record import DONE, LOST, Record

CSV, PARQUET, FAILED_CSV = "runs.csv", "runs.parquet", "failed.csv"


def collect(folder: Path) -> list[Record]:
    """Every run of a sweep that has begun, in order of their numbers; one without a record is `lost`."""
    records = []
    for words in folder.rglob(".hydra/overrides.yaml"):
        place = words.parent.parent
        records.append(Record.read(place) or _lost(place, words))
    return sorted(records, key=lambda record: record.run)


def failed_of(folder: Path) -> list[Record]:
    """The runs of a sweep that are not done."""
    return [record for record in collect(folder) if record.status != DONE]


def columns(records: Sequence[Record]) -> list[str]:
    """Names of the table's columns: the run, its overrides, its figures, what became of it."""
    overrides = dict.fromkeys(key for record in records for key in record.overrides)
    figures = [name for name in FIGURES if any(name in record.figures for record in records)]
    return ["run", *overrides, "status", "objective", *(figures or FIGURES), "seconds", "reason"]


def row(record: Record, names: Iterable[str]) -> list[Value]:
    """A run's cells under the given columns; None where it has none."""
    own = record.__dict__
    known = {
        **record.figures,
        **{key: own[key] for key in ("run", "status", "objective", "seconds", "reason")},
    }
    known |= record.overrides
    return [known.get(name) for name in names]


def append(record: Record, folder: Path) -> None:
    """Add a run's row to `runs.csv` as soon as it ends; rows of several processes do not mix."""
    with (folder / CSV).open("a+", newline="", encoding="utf-8") as file:
        with suppress(OSError):  # a file system without locks: a line is written by one call all the same
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        names = next(csv.reader(file), None)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if names is None:
            names = columns([record])
            writer.writerow(names)
        writer.writerow(row(record, names))
        file.write(text.getvalue())


def write(records: Sequence[Record], folder: Path) -> None:
    """Write `runs.csv`, `runs.parquet` and `failed.csv` of all runs."""
    import pyarrow as pa
    import pyarrow.parquet

    names = columns(records)
    rows = [row(record, names) for record in records]
    _write_csv(names, rows, folder / CSV)
    filled = {name: pa.array(_alike(cells)) for name, *cells in zip(names, *rows, strict=True)}
    pyarrow.parquet.write_table(pa.table(filled), folder / PARQUET, compression="zstd")
    failed = [record for record in records if record.status != DONE]
    lines: list[Sequence[Value]] = [
        [record.run, record.status, words(record), record.reason] for record in failed
    ]
    _write_csv(["run", "status", "overrides", "reason"], lines, folder / FAILED_CSV)


def words(record: Record, keys: Iterable[str] | None = None) -> str:
    """A run's overrides as words; those of `keys` alone, where given."""
    chosen = record.overrides if keys is None else [key for key in keys if key in record.overrides]
    return " ".join(f"{key}={record.overrides[key]}" for key in chosen)


def varied(records: Sequence[Record]) -> list[str]:
    """The overrides that are not the same in all runs."""
    keys = dict.fromkeys(key for record in records for key in record.overrides)
    return [key for key in keys if len({str(record.overrides.get(key)) for record in records}) > 1]


def _alike(cells: list[Value]) -> list[Any]:
    """Cells of one type: texts where numbers and texts are mixed, as in a sweep over words."""
    if any(isinstance(cell, str) for cell in cells):
        return [None if cell is None else str(cell) for cell in cells]
    if any(isinstance(cell, float) for cell in cells):
        return [None if cell is None else float(cell) for cell in cells]
    return cells


def _write_csv(names: Sequence[str], rows: Iterable[Sequence[Value]], path: Path) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    partial.replace(path)


def _lost(place: Path, overrides: Path) -> Record:
    """A run that has begun and left no record, by the words that Hydra wrote at its begin."""
    lines = overrides.read_text(encoding="utf-8").splitlines()
    given = [line.removeprefix("- ").strip("'\"") for line in lines if line.startswith("- ")]
    number = int(place.name) if place.name.isdigit() else -1
    return Record(number, overrides_of(given), LOST, "its worker ended before the run did")
