"""The campaign behind `llmsim/data/measurements/cpu_2026.csv`.

    python cpu_2026.py FOLDER SECONDS [tiny]

Runs `task=characterize` for each model, keeps the journals in FOLDER, and writes their trials as
FOLDER/cpu_2026.csv. After SECONDS it stops where it is; the same command goes on with what is missing. Run it
on a machine that does nothing else.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from llmsim.measurement.journal import Journal
from llmsim.measurement.rows import rows
from llmsim.measurement.stopping import half_width_pct
from llmsim.trials.schema import NAMES

SOURCE = "cpu_2026"
COMMON = [
    "precision=int4", "steps=8", "generation=null", "window_s=0.5", "settle_s=0.5", "per_visit=5", "least=5",
    "most=5",
]  # fmt: skip
# Each is one campaign: a model, and levels of its cells. Two of one model share a journal.
JOBS = [
    ("qwen2_5_0_5b", "prefill_tokens=[1,4,16,64,128,512]", "prefill_batch=[1,2]",
     "decode_context=[16,256,1024]", "decode_batch=[1,2,4,8,16]"),
    ("qwen2_5_1_5b", "prefill_tokens=[1,4,16,32,64,256]", "prefill_batch=[1,2]",
     "decode_context=[16,128,512]", "decode_batch=[1,2,4,8]"),
    ("qwen2_5_0_5b", "prefill_tokens=[1024]", "prefill_batch=[1]", "decode_context=[]", "decode_batch=[]"),
    ("qwen2_5_1_5b", "prefill_tokens=[512]", "prefill_batch=[1]", "decode_context=[]", "decode_batch=[]"),
]  # fmt: skip
TINY = [
    ("qwen2_5_0_5b", "prefill_tokens=[1,8,16]", "prefill_batch=[1,2]", "decode_context=[16,32]",
     "decode_batch=[1,2]", "steps=2", "least=2", "most=2", "window_s=0", "settle_s=0"),
]  # fmt: skip
LONGEST = 1100


def command(job: tuple[str, ...], folder: Path) -> list[str]:
    """The command of a campaign."""
    model, *levels = job
    # A job's own settings win over the common ones.
    settings = dict(setting.split("=", 1) for setting in (*COMMON, *levels))
    return [
        sys.executable, "-m", "llmsim", "task=characterize", "backend=onnxruntime",
        f"backend.max_tokens={LONGEST}", "hardware=cpu", "meter=rapl", f"model={model}",
        *(f"task.{name}={value}" for name, value in settings.items()), f"task.journal={folder / model}.jsonl",
    ]  # fmt: skip


def write_csv(folder: Path) -> int:
    """The trials of all journals as a table; how many."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.jsonl")):
        with Journal(path) as journal:
            found += rows(journal.entries)
    with (folder / f"{SOURCE}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: _text(value) for key, value in {**row, "source": SOURCE}.items()} for row in found
        )
    show(found)
    return len(found)


def show(found: list[dict[str, Any]]) -> None:
    """Means and intervals by cell."""
    cells: dict[tuple[Any, ...], list[float]] = {}
    for row in found:
        key = tuple(row[name] for name in ("model", "experiment", "batch", "tau_in", "tau_out"))
        cells.setdefault(key, []).append(row["runtime_s"])
    for (model, experiment, batch, tau_in, tau_out), seconds in sorted(cells.items()):
        each = float(np.mean(seconds)) / max(1, tau_out - 1)
        print(
            f"{model:16s} {experiment:8s} batch {batch:<3d} tokens {tau_in:<5d} n={len(seconds)}"
            f" {each * 1000:9.2f} ms a {'step' if experiment == 'decode' else 'pass'}"
            f" ±{half_width_pct(seconds):.1f} %"
        )


def _text(value: Any) -> Any:
    """A cell of the table: seven digits are more than a campaign repeats."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.7g}"
    return value


def main(folder: Path, seconds: float, jobs: list[tuple[str, ...]]) -> None:
    """Run the campaigns."""
    folder.mkdir(parents=True, exist_ok=True)
    end_s = time.monotonic() + seconds
    for job in jobs:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            break
        try:
            subprocess.run(command(job, folder.absolute()), check=True, timeout=left_s, env=os.environ)
        except subprocess.TimeoutExpired:
            print(f"{job[0]}: the time is over; the same command goes on with it")
    print(f"{write_csv(folder)} trials in {folder / SOURCE}.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), TINY if "tiny" in sys.argv[3:] else JOBS)
