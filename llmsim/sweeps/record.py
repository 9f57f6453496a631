"""What one run of a sweep came to: `run.json` in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from llmsim.arguments import Value

FILE = "run.json"
DONE, FAILED, LOST = "done", "failed", "lost"


@dataclass(frozen=True)
class Record:
    """One run of a sweep.

    Attributes:
        run: its number, which is its folder's name.
        overrides: the words that set it apart, key to value.
        status: `done`, `failed` (reason says why), or `lost` (its worker ended before it did).
        reason: why it failed, as a message.
        objective: what the sweep minimises; None where there is none.
        figures: those of FIGURES that the run has.
        seconds: wall time of the job.
        config_sha256: of the run's configuration; a run that is done is not run again while it is the same.
    """

    run: int
    overrides: Mapping[str, Value]
    status: str
    reason: str = ""
    objective: float | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    config_sha256: str = ""

    def write(self, folder: Path) -> None:
        """Write `run.json`; it appears whole or not at all."""
        partial = folder / f"{FILE}.partial"
        partial.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record in a run's folder; None where there is none that can be read."""
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(**{item.name: data[item.name] for item in fields(cls) if item.name in data})
        except (OSError, ValueError, TypeError, AttributeError):
            return None


def kept(folder: Path) -> bool:
    """Whether a run's record is older than its job, which found it done and left it."""
    try:
        begun = (folder / ".hydra" / "overrides.yaml").stat().st_mtime_ns
        return (folder / FILE).stat().st_mtime_ns < begun
    except OSError:
        return False


def finite(value: float) -> float | None:
    """The number, or None for one that is not finite."""
    return value if math.isfinite(value) else None
