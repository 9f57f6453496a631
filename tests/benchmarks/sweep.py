"""Many short runs by one command: `python -m tests.benchmarks.sweep [RUNS] [JOBS] [LAUNCHER]`.

Prints the time of a single run in a process of its own, of the sweep, and of reading the sweep's folder, and
the memory of the workers early and late. On a busy machine the processor's seconds tell more than the wall's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

RUN = ["workload.limit=2000", "policy=random"]
MIB = 2**20


def llmsim(folder: Path, *words: str) -> tuple[float, float]:
    """Wall and processor seconds of a command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "llmsim", *words], cwd=folder, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def memory_of_workers(under: int) -> dict[int, int]:
    """Resident bytes of each process that descends from one, by its id."""
    parents, resident = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(stat.parent.name)] = int(fields[1])
        resident[int(stat.parent.name)] = int(fields[21]) * resource.getpagesize()

    def ancestors(process: int) -> Iterator[int]:
        while process in parents:
            process = parents[process]
            yield process

    return {process: size for process, size in resident.items() if under in ancestors(process)}


def main(runs: int, jobs: int, launcher: str) -> None:
    """Measure and print."""
    place = Path(tempfile.mkdtemp(prefix="llmsim-sweep-"))
    alone = [
        llmsim(place, *RUN, "baselines=[]", f"report={report}") for report in ("figures", "full", "figures")
    ]
    figures, full = alone[2], alone[1]
    print(f"a run alone, plots and page: {full[0]:.2f} s wall, {full[1]:.2f} s of processor")
    print(f"a run alone, figures:        {figures[0]:.2f} s wall, {figures[1]:.2f} s of processor")

    words = ["-m", *RUN, f"seed=range(0,{runs})", f"hydra/launcher={launcher}"]
    if launcher == "joblib":
        words.append(f"hydra.launcher.n_jobs={jobs}")
    ended, sizes = threading.Event(), []

    def watch() -> None:
        while not ended.wait(1.0):
            sizes.append(memory_of_workers(own))

    own = os.getpid()
    threading.Thread(target=watch, daemon=True).start()
    wall, cpu = llmsim(place, *words)
    ended.set()
    print(f"{runs} runs by {launcher}, {jobs} at once: {wall:.1f} s wall, {cpu:.1f} s of processor")
    for what, alone_s, swept_s in (("wall", figures[0], wall), ("processor", figures[1], cpu / jobs)):
        print(
            f"  of the ideal ({what}, a run alone x {runs} / {jobs}): {swept_s / (alone_s * runs / jobs):.2f}"
        )
    early, late = sizes[len(sizes) // 4], sizes[-len(sizes) // 10 - 1]
    for process in sorted(early.keys() & late.keys()):
        print(
            f"  process {process}: {early[process] / MIB:.0f} MiB early, {late[process] / MIB:.0f} MiB late"
        )

    from llmsim.sweeps.table import collect

    (file,) = place.glob("outputs/sweeps/*/*/runs.parquet")
    start = time.perf_counter()
    records = collect(file.parent)
    print(f"  {len(records)} records read in {time.perf_counter() - start:.2f} s", end="")
    start = time.perf_counter()
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(file).num_rows
    print(f"; {rows} rows of runs.parquet in {time.perf_counter() - start:.2f} s")
    done = sorted(record.seconds or 0.0 for record in records)
    failed = sum(record.status != "done" for record in records)
    print(f"  a warm job: {done[len(done) // 2]:.3f} s (median), {failed} failed")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 40, int(given[1]) if given[1:] else 2, given[2] if given[2:] else "joblib"
    )
