"""Many short runs by one command: `python -m tests.benchmarks.sweep [RUNS] [--launcher joblib] [--kill]`.

Prints what a run's own work takes in a warm process, with as many processes at once as the sweep has; the
time of a run in a process of its own; of the sweep, and of its share beyond that work; of reading the sweep's
folder; and the memory of the workers early and late. On a busy machine the processor's seconds tell more than
the wall's.

`--kill` ends one worker by SIGKILL when half of the runs have ended, goes on with `resume=true` where that
ended the sweep, and fails unless every run is there, once.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

RUN = ["workload.limit=2000", "policy=random"]
FIGURES = ["baselines=[]", "report=figures"]
MIB = 2**20
# Runs by which a process warms up, and those that are timed.
WARM_UP, TIMED = 5, 40
# What a worker's command says while it runs a job.
WORKER = {"joblib": "popen_loky", "ray": "ray::run"}
WORDS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs={jobs}"],
    "ray": [
        *("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus={jobs}"),
        "+hydra.launcher.ray.init.include_dashboard=false",
    ],
}


def llmsim(folder: Path, *words: str, may_fail: bool = False) -> tuple[float, float]:
    """Wall and processor seconds of a command, its children included where it waits for them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "llmsim", *words]
    subprocess.run(command, cwd=folder, check=not may_fail, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def work() -> None:
    """Print the wall and processor seconds of a run's own work in this process, once it is warm: means."""
    from llmsim.config import load_config
    from llmsim.sweeps.job import run

    place, wall, cpu = Path(tempfile.mkdtemp(prefix="llmsim-work-")), [], []
    for seed in range(WARM_UP + TIMED):
        config, folder = load_config([*RUN, *FIGURES, f"seed={seed}"]), place / str(seed)
        folder.mkdir()
        began, spent = time.perf_counter(), time.process_time()
        run(config, folder)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    print(statistics.mean(wall[WARM_UP:]), statistics.mean(cpu[WARM_UP:]))


def work_at_once(jobs: int) -> tuple[float, float]:
    """Wall and processor seconds of a run's own work, with so many processes at once."""
    command = [sys.executable, "-c", "from tests.benchmarks.sweep import work; work()"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(jobs)]  # type: ignore[call-overload]
    found = [[float(cell) for cell in process.communicate()[0].split()] for process in processes]
    return statistics.mean(wall for wall, _ in found), statistics.mean(cpu for _, cpu in found)


def descendants(under: int) -> dict[int, int]:
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


def kill_a_worker(names: str) -> int | None:
    """End one process of ours whose command has a name; which it was, or None where none has."""
    for process in descendants(os.getpid()):
        try:
            if names in Path(f"/proc/{process}/cmdline").read_bytes().decode():
                os.kill(process, signal.SIGKILL)
                return process
        except OSError:  # it has ended meanwhile
            continue
    return None


def rows(folder: Path) -> list[dict[str, str]]:
    """The table of the sweep in a folder, as far as it has come."""
    for file in folder.glob("outputs/sweeps/*/*/runs.csv"):
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines))
    return []


def beside(act: Callable[[], bool], seconds: float) -> threading.Event:
    """Do something every so many seconds until it says that it is done, or the event is set."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            if act():
                return

    threading.Thread(target=repeat, daemon=True).start()
    return ended


def main(runs: int, jobs: int, launcher: str, kill: bool) -> None:
    """Measure and print."""
    place = Path(tempfile.mkdtemp(prefix="llmsim-sweep-"))
    words = ["-m", *RUN, *(word.format(jobs=jobs) for word in WORDS.get(launcher, []))]
    llmsim(place, *RUN, *FIGURES)  # fits the curves, if they are not kept yet
    alone = llmsim(place, *RUN, *FIGURES)
    print(f"a run in a process of its own:        {alone[0]:.2f} s wall, {alone[1]:.2f} s of processor")
    own = work_at_once(jobs)
    print(f"a run's own work, warm, {jobs} at once:    {own[0]:.3f} s wall, {own[1]:.3f} s of processor")
    few = llmsim(Path(tempfile.mkdtemp(prefix="llmsim-few-")), *words, f"seed=range(0,{jobs})")
    print(f"a sweep of {jobs} runs by {launcher}:          {few[0]:.1f} s wall, {few[1]:.1f} s of processor")

    sizes: list[dict[int, int]] = []
    killed: list[int] = []

    def watch() -> bool:
        sizes.append(descendants(os.getpid()))
        return False

    def strike() -> bool:
        if len(rows(place)) >= runs // 2 and (victim := kill_a_worker(WORKER[launcher])):
            killed.append(victim)
        return bool(killed)

    beings = [beside(watch, 1.0), *([beside(strike, 0.02)] if kill else [])]
    many = llmsim(place, *words, f"seed=range(0,{runs})", may_fail=kill)
    for being in beings:
        being.set()
    print(f"a sweep of {runs} runs by {launcher}:       {many[0]:.1f} s wall, {many[1]:.1f} s of processor")
    if kill:
        check(place, runs, killed, [*words, f"seed=range(0,{runs})"])
    else:
        shares(runs, jobs, alone, own, few, many)
    memory(sizes)
    reading(place)


def shares(
    runs: int, jobs: int, alone: tuple[float, float], own: tuple[float, float], few: tuple[float, float],
    many: tuple[float, float],
) -> None:  # fmt: skip
    """Print the sweep against its ideals, and what a job costs beyond its work."""
    for place, what, at_once in ((0, "wall", jobs), (1, "processor", 1)):
        swept, ideal = many[place], own[place] * runs / at_once
        print(f"  of the ideal, {what}: {swept / (alone[place] * runs / at_once):.2f} by runs alone, "
              f"{swept / ideal:.2f} by their warm work")  # fmt: skip
        each = (many[place] - few[place]) / (runs - jobs) * at_once
        print(f"  a job of a warm worker, {what}: {each:.3f} s, {each - own[place]:.3f} s beyond its work")


def check(place: Path, runs: int, killed: list[int], words: list[str]) -> None:
    """Fail unless a worker was killed and every run is there, once; go on with a sweep that it ended."""
    if not killed:
        raise SystemExit("no worker was killed")
    done = {row["run"] for row in rows(place) if row["status"] == "done"}
    print(f"  worker {killed[0]} was killed; {len(done)} runs are done")
    if len(done) < runs:
        again = llmsim(place, *words, "resume=true")
        print(f"  resume=true: {again[0]:.1f} s wall, {again[1]:.1f} s of processor")
    found = [int(row["run"]) for row in rows(place) if row["status"] == "done"]
    if sorted(found) != list(range(runs)):
        raise SystemExit(f"{len(found)} rows of {len(set(found))} runs, where {runs} were asked for")
    print(f"  all {runs} runs are done, each has one row")


def memory(sizes: list[dict[int, int]]) -> None:
    """Print what each process held early and late."""
    early, late = sizes[len(sizes) // 4], sizes[-len(sizes) // 10 - 1]
    for process in sorted(early.keys() & late.keys()):
        if late[process] > 64 * MIB:
            held = f"{early[process] / MIB:.0f} MiB early, {late[process] / MIB:.0f} MiB late"
            print(f"  process {process}: {held}")


def reading(place: Path) -> None:
    """Print how long the sweep's folder takes to read."""
    import pyarrow.parquet

    from llmsim.sweeps.table import collect

    (file,) = place.glob("outputs/sweeps/*/*/runs.parquet")
    start = time.perf_counter()
    records = collect(file.parent)
    print(f"  {len(records)} records read in {time.perf_counter() - start:.2f} s", end="")
    start = time.perf_counter()
    read = pyarrow.parquet.read_table(file).num_rows
    print(f"; {read} rows of runs.parquet in {time.perf_counter() - start:.2f} s")
    done = sorted(record.seconds or 0.0 for record in records)
    failed = sum(record.status != "done" for record in records)
    print(f"  a job: {done[len(done) // 2]:.3f} s (median), {failed} failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="?", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--launcher", choices=("basic", *WORDS), default="joblib")
    parser.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    main(given.runs, given.jobs, given.launcher, given.kill)
