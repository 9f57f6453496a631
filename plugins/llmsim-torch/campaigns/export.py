"""A journal as the table of trials: `NAME.csv`, and `NAME_windows.csv` with the window of each row.

python export.py JOURNAL[.gz] OUT_FOLDER NAME
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmsim.measurement.rows import row
from llmsim.trials.schema import NAMES

WINDOW = (
    "row", "ended_unix_s", "passes", "window_s", "power_w", "sampled_power_w", "sm_clock_mhz",
    "memory_clock_mhz", "temperature_c", "throttled", "warnings",
)  # fmt: skip
DIGITS = 7


def read(path: Path) -> list[dict[str, Any]]:
    """The trials of a journal that ended, ordered by subject, experiment, cell and repeat."""
    raw = path.read_bytes()
    lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()
    entries = [json.loads(line) for line in lines]
    trials = [entry for entry in entries if entry["kind"] == "trial" and row(entry) is not None]
    return sorted(trials, key=_place)


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    subject, cell = entry["subject"], entry["cell"]
    where = (subject["source"], subject["model"], not subject["kv_cache"], entry.get("mark", ""))
    return (*where, cell["experiment"], cell["batch"], cell["tau_in"], cell["tau_out"], entry["repeat"])


def window(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What was read of one trial's window."""
    reading = entry["readings"][0] if entry["readings"] else {"conditions": {}}
    conditions = reading["conditions"]
    return {
        "row": number,
        "ended_unix_s": entry["ended_unix_s"],
        "passes": entry["passes"],
        "window_s": reading.get("window_s"),
        "power_w": reading.get("power_w"),
        "sampled_power_w": conditions.get("integrated_power_w"),
        "sm_clock_mhz": conditions.get("sm_clock_mhz"),
        "memory_clock_mhz": conditions.get("memory_clock_mhz"),
        "temperature_c": conditions.get("temperature_c"),
        "throttled": conditions.get("throttled"),
        "warnings": "; ".join(entry["warnings"]),
    }


def text(value: Any) -> Any:
    """A value as it stands in a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and not value.is_integer() and value < 1e8:
        return f"{value:.{DIGITS}g}"
    return value


def write(path: Path, names: Sequence[str], found: Sequence[Mapping[str, Any] | None]) -> None:
    """Rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: text(item[name]) for name in names} for item in found if item is not None)


def main(journal: Path, folder: Path, name: str) -> None:
    """Write both tables."""
    trials = read(journal)
    write(folder / f"{name}.csv", NAMES, [row(entry) for entry in trials])
    write(
        folder / f"{name}_windows.csv",
        WINDOW,
        [window(number, entry) for number, entry in enumerate(trials)],
    )
    print(f"{len(trials)} trials")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
