"""Journals that outlive a call: written twice, and found again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from llmsim.measurement.journal import Journal

JOURNAL = "h200_one_card.jsonl"
# Cells that brought the process down: not tried again.
FAILED = "failed.txt"
NAMES = (JOURNAL, FAILED)


@dataclass
class TwofoldJournal(Journal):
    """A journal that is written to a second place too.

    Attributes:
        second: a file of the same lines.
    """

    second: Path | None = None
    _other: TextIO | None = None

    def __enter__(self) -> TwofoldJournal:
        super().__enter__()
        if self.second is not None:
            self.second.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.path, self.second)
            self._other = self.second.open("a", encoding="utf-8")
        return self

    def __exit__(self, *about: Any) -> None:
        if self._other is not None:
            self._other.close()
        super().__exit__(*about)

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Write entries to both, and return when the disk has them."""
        before = self.path.stat().st_size
        super().append(*entries)
        if self._other is not None:
            with self.path.open("rb") as file:
                file.seek(before)
                self._other.write(file.read().decode())
            self._other.flush()
            os.fsync(self._other.fileno())


def gather(places: Sequence[Path], out: Path, names: Sequence[str] = NAMES) -> dict[str, str]:
    """Put the longest of each file's copies into `out`; where each came from.

    A journal only grows, so the longest copy holds what the others do.
    """
    found = {}
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        copies = [place / name for place in places if (place / name).exists()]
        if copies:
            longest = max(copies, key=lambda copy: copy.stat().st_size)
            shutil.copy(longest, out / name)
            found[name] = f"{longest} ({longest.stat().st_size} bytes)"
    return found
