"""Trials as they end: one line each, on the disk before the next begins."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from llmsim.errors import InputError


@dataclass
class Journal:
    """A file of JSON lines, appended and synced one at a time.

    What a kill cuts off is at most the line in flight: it is dropped when the journal is opened again, on
    this machine or on another.

    Attributes:
        path: the file; made where it is missing.
        entries: every whole line, oldest first.
    """

    path: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    _file: TextIO | None = None

    @property
    def writable(self) -> bool:
        """Whether it can be written to."""
        return self._file is not None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if self.path.exists():
            for entry, end in _lines(self.path):
                self.entries.append(entry)
                whole = end
            with self.path.open("r+b") as file:
                file.truncate(whole)
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry, and return when the disk has it."""
        if self._file is None:
            raise ValueError("the journal is not open")
        self._file.write(json.dumps(entry, sort_keys=True, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(dict(entry))


def read(path: Path) -> Journal:
    """A journal to be read only, plain or compressed by gzip.

    Raises:
        InputError: the file is missing, cannot be read, or is none of a journal.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as file:
                entries = [entry for entry, _ in _entries(path, file)]
        else:
            entries = [entry for entry, _ in _lines(path)]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such journal.") from error
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: the journal cannot be read ({error}).") from error
    return Journal(path, entries)


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each whole line of a file, as `_entries`."""
    with path.open("rb") as file:
        yield from _entries(path, file)


def _entries(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """Each whole line with the place where it ends; a last one without its end is left out.

    Raises:
        InputError: a line within the file that is not one of a journal.
    """
    end = 0
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return
        end += len(line)
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not a line of a journal ({error}).") from error
        yield entry, end
