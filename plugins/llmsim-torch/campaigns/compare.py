"""How far the simulator is from the runs of a call: `task=fidelity` on each of their journals, no device.

    python compare.py RUNS [NAME ...] [--out FOLDER]

RUNS is `runs.tar.gz`, or the folder that it was unpacked to. Prints gaps and what they are made of, %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Words that a comparison says for itself: those of the device, the machine's folders, the output.
OWN = ("task=", "backend", "meter", "trials.path=", "report=", "hydra.", "--")
FIGURES = ("energy_active_j", "makespan_s", "serving_s", "ttft_s.mean", "tpot_s.mean", "latency_s.p99")
PARTS = ("curve", "curve_prefill", "curve_decode", "overhead", "scheduling", "choices")


@dataclass(frozen=True)
class Done:
    """A run that is whole.

    Attributes:
        name: of its folder.
        words: that a comparison of it takes.
        journal: of what was measured.
    """

    name: str
    words: list[str]
    journal: Path


def unpacked(runs: Path) -> Path:
    """The folder of the runs; a bundle is unpacked beside itself."""
    if runs.is_dir():
        return runs
    folder = runs.parent / "unpacked"
    with tarfile.open(runs) as file:
        file.extractall(folder, filter="data")
    return folder


def done(folder: Path, names: Sequence[str] = ()) -> list[Done]:
    """The whole runs of a folder, or those of them that are named, in the order in which they were run."""
    lines = (folder / "pieces.jsonl").read_text().splitlines()
    told = {entry["name"]: entry for entry in map(json.loads, lines) if entry["code"] == 0}
    found = []
    for name, entry in told.items():
        journals = sorted((folder / "runs" / name / "outputs" / "served").glob("*.jsonl"))
        if journals and (not names or name in names):
            newest = max(journals, key=lambda path: path.stat().st_mtime)
            words = [word for word in entry["words"] if not word.startswith(OWN)]
            found.append(Done(name, words, newest))
    return found


def compared(folder: Path, run: Done, out: Path) -> dict[str, Any] | None:
    """What `task=fidelity` says of a run; None where it fails, whose reason is printed."""
    conf = folder / "conf"
    result = (out / run.name).resolve()
    command = [
        sys.executable, "-m", "llmsim", *([f"--config-dir={conf.resolve()}"] if conf.exists() else []),
        "task=fidelity", "backend=recorded", f"backend.path={run.journal.resolve()}",
        f"trials.path={(folder / 'trials.csv').resolve()}", "report=figures", f"hydra.run.dir={result}",
        *run.words,
    ]  # fmt: skip
    played = subprocess.run(command, capture_output=True, text=True, check=False)
    if played.returncode:
        print(f"{run.name}: {played.stdout[-500:]}{played.stderr[-1500:]}")
        return None
    return dict(json.loads((result / "fidelity.json").read_text()))


def table(name: str, found: dict[str, Any]) -> list[str]:
    """Lines of a run: gaps of each policy, then the parts of energy, serving and makespan."""
    lines = [f"{name}: {found['queries']} queries; gaps, % of what was measured"]
    lines += [f"  {'':30}" + "".join(f"{figure:>16}" for figure in FIGURES) + f"{'same choices':>14}"]
    for label, row in found["rows"].items():
        gaps = "".join(_number(row["gap_pct"].get(figure), 16) for figure in FIGURES)
        lines.append(f"  {label:30}{gaps}{_number(row['same_choices_pct'], 14)}")
    lines.append(f"  {'parts':47}" + "".join(f"{part:>14}" for part in PARTS))
    for label, row in found["rows"].items():
        for figure, parts in row["parts"].items():
            if parts is None:  # a figure that the run lacks, such as joules without a meter
                continue
            whole = parts.get("measured")
            shares = [_share(parts.get(part), whole) for part in PARTS]
            lines.append(f"  {label:30}{figure:17}" + "".join(_number(share, 14) for share in shares))
    return lines


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>+{width}.2f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, help="where results go; left out: beside the runs")
    args = parser.parse_args()
    folder = unpacked(args.runs)
    for run in done(folder, args.names):
        found = compared(folder, run, args.out or folder / "compared")
        if found is not None:
            print("\n".join(table(run.name, found)), flush=True)


if __name__ == "__main__":
    main()
