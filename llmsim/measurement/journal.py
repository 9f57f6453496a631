"""Trials and pieces of work as they end: one line each."""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from llmsim.errors import InputError


@dataclass
class Journal:
    """A file of JSON lines, appended.

    The system has a line before `append` returns, so that a kill of the process loses none; the disk has it
    at the next sync, which work that must not wait for a disk asks for between its windows. What a failure
    cuts off is at most the line in flight: it is dropped when the journal is opened again, on this machine
    or on another.

    Attributes:
        path: the file; made where it is missing.
        entries: every whole line, oldest first.
        sync_s: seconds between two syncs asked for, at least; None: every line is synced as it is appended.
    """

    path: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    sync_s: float | None = None
    _file: TextIO | None = None
    _synced_s: float = 0.0
    _dirty: bool = False

    @property
    def writable(self) -> bool:
        """Whether it can be written to."""
        return self._file is not None

    def __enter__(self) -> Journal:
        try:
            return self._opened()
        except OSError as error:
            raise self._unwritable(error) from error

    def _opened(self) -> Journal:
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
        file = self._file
        if file is None:
            return
        try:
            self._force()
            file.close()
        except OSError as trouble:
            if error is None:  # else it is told already what went wrong
                raise self._unwritable(trouble) from trouble
        finally:
            self._file = None
            with suppress(OSError):  # what it could not write it would try once more
                file.close()

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Write entries, and return when the system has them; the disk too unless `sync_s` is set.

        Raises:
            InputError: they cannot be written; what was written before stays.
        """
        if self._file is None:
            raise ValueError("the journal is not open")
        lines = "".join(f"{_text(entry)}\n" for entry in entries)
        try:
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self._dirty = True
        self.entries.extend(dict(entry) for entry in entries)
        if self.sync_s is None:
            self._force()

    def sync(self) -> None:
        """Return when the disk has every line, unless it was asked less than `sync_s` ago."""
        if self._dirty and time.monotonic() - self._synced_s >= (self.sync_s or 0.0):
            self._force()

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"{error.filename or self.path}: the journal cannot be written ({error.strerror or error}). Make "
            "room for it, or run where there is some; what is in it already is gone on with."
        )

    def _force(self) -> None:
        if self._file is not None and self._dirty:
            os.fsync(self._file.fileno())
            self._synced_s, self._dirty = time.monotonic(), False


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, allow_nan=False)


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
    except (OSError, EOFError, zlib.error) as error:
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
        if not isinstance(entry, dict):
            raise InputError(f"{path}, line {number}: not a line of a journal; expected a JSON object.")
        yield entry, end
