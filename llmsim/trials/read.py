"""The user's own measurements: a CSV file in the tidy schema, checked cell by cell."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.cells import Cell, number, shown
from llmsim.errors import InputError, did_you_mean
from llmsim.trials.schema import COLUMNS, NAMES, Column
from llmsim.trials.table import Trials

FOLDER = Path(__file__).parents[1] / "data" / "measurements"
# A count above this is a slip of the pen, not a measurement.
MOST_COUNT = 10_000_000
DTYPES: Mapping[str, Any] = {"text": np.str_, "int": np.int64, "float": np.float64, "bool": np.bool_}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "method": ("measured", "estimated"),
    "outcome": ("completed", "ended_early"),
}
_TRUTH: Mapping[str, bool] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

Reader = Callable[[str], Any]


def read(path: Path) -> Trials:
    """The trials in a CSV file whose columns are those of `llmsim.trials.schema`.

    Columns may come in any order, and those that are not required may be missing. An empty number is one
    that was not measured.

    Raises:
        InputError: no such file, not text, a column that is missing, unknown or twice there, no rows, or a
            cell that cannot be used (with its line, column and value).
    """
    rows = _rows(path)
    line, header = next(rows, (0, []))
    columns = _columns(header, f"{path}, line {line}", path)
    readers = [_reader(column) for column in columns]
    cells: list[list[Any]] = [[] for _ in columns]
    for line, row in rows:
        if len(row) != len(columns):
            raise InputError(f"{path}, line {line}: {len(row)} cells, but the header names {len(columns)}.")
        for place, (column, text) in enumerate(zip(columns, row, strict=True)):
            try:
                cells[place].append(readers[place](text))
            except Cell as reason:
                raise InputError(
                    f"{path}, line {line}, column '{column.name}': {shown(text)} {reason}"
                ) from None
    n = len(cells[0])
    if n == 0:
        raise InputError(f"{path}: the file has a header but no rows.")
    given = {column.name: values for column, values in zip(columns, cells, strict=True)}
    if "source" not in given:
        given["source"] = [path.name] * n
    return Trials(
        {
            column.name: np.array(given.get(column.name, [column.default] * n), dtype=DTYPES[column.kind])
            for column in COLUMNS
        }
    )


def write(trials: Trials, path: Path) -> None:
    """Write trials as a CSV file that `read` reads back to the same table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(NAMES)
        columns = [[_text(value) for value in trials[name].tolist()] for name in NAMES]
        writer.writerows(zip(*columns, strict=True))


def template() -> str:
    """A CSV file to begin with: the header, and two rows that show what belongs in it."""
    return (FOLDER / "template.csv").read_text(encoding="utf-8")


def _text(value: Any) -> str:
    """A value as `read` reads it back, to the last bit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, with the line that each begins on."""
    line = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield line, row
                line = reader.line_num + 1
    except FileNotFoundError:
        raise InputError(f"trials.path: no such file: {path}") from None
    except OSError as error:
        raise InputError(f"trials.path: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; trials are CSV, in UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"{path}, line {line}: not valid CSV ({error}).") from None


def _columns(header: list[str], where: str, path: Path) -> list[Column]:
    """The schema's columns that a header names, in its order."""
    if not header:
        raise InputError(f"{path}: the file is empty. Its first line must name the columns: see {_HELP}")
    by_name = {column.name: column for column in COLUMNS}
    names = [name.strip() for name in header]
    for name in names:
        if name not in by_name:
            raise InputError(f"{where}: no such column: '{name}'. {did_you_mean(name, NAMES, 'column')}")
        if names.count(name) > 1:
            raise InputError(f"{where}: the column '{name}' is there {names.count(name)} times.")
    missing = [column.name for column in COLUMNS if column.required and column.name not in names]
    if missing:
        raise InputError(f"{where}: missing: {', '.join(missing)}. Found: {', '.join(names)}. See {_HELP}")
    return [by_name[name] for name in names]


_HELP = "llmsim/data/measurements/template.csv."


def _reader(column: Column) -> Reader:
    """What turns a cell of that column into its value, or raises `Cell`."""
    if column.name in CHOICES:
        return lambda text: _choice(text.strip(), CHOICES[column.name])
    if column.kind == "int":
        least = 0 if column.name == "repeat" else 1
        return lambda text: _count(text, least)
    if column.kind == "bool":
        return lambda text: _truth(text.strip())
    if column.kind == "text":
        return lambda text: _name(text.strip(), column.required)
    if column.name == "runtime_s":
        return _amount
    return _amount_or_none


def _choice(text: str, choices: tuple[str, ...]) -> str:
    """One of the words that a column may hold."""
    if text not in choices:
        raise Cell(f"is not one of {', '.join(choices)}.")
    return text


def _count(text: str, least: int) -> int:
    """A whole number from `least` to MOST_COUNT."""
    value = number(text)
    if not least <= value <= MOST_COUNT:
        raise Cell(f"is not between {least} and {MOST_COUNT}.")
    if not value.is_integer():
        raise Cell("is not a whole number.")
    return int(value)


def _truth(text: str) -> bool:
    """Truth as people and spreadsheets write it."""
    if text.lower() not in _TRUTH:
        raise Cell("is not true or false.")
    return _TRUTH[text.lower()]


def _name(text: str, required: bool) -> str:
    """A text; empty only where none is required."""
    if required and not text:
        raise Cell("is empty; a name is needed.")
    return text


def _amount(text: str) -> float:
    """Seconds, joules or watts that were measured."""
    value = number(text)
    if not 0 < value < math.inf:
        raise Cell("is not a finite number above 0.")
    return value


def _amount_or_none(text: str) -> float:
    """The same, and NaN for an empty cell."""
    if not text.strip():
        return math.nan
    try:
        return _amount(text)
    except Cell as reason:
        raise Cell(f"{reason} Leave it empty where it was not measured.") from None
