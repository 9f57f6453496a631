"""Simulated against measured, on one card: its trials, then the runs, in a few calls.

    python h200_fidelity.py CALL SECONDS OUT [--last] [--skip NAME ...] [--keep FOLDER] [--before FOLDER]

Stages, in order: cells of the models on the GPU and of one on the CPU, the trials' table, the capacity of a
continuous instance by simulation on that table, and the runs of `fidelity_plan.py` by the command line. A
stage that is done is not done again, and one that was cut off goes on from its journal; a run that does not
fit the time that is left is passed over for the next that does. Everything is in --keep, which the machine
keeps between calls, and comes to OUT as `campaign.jsonl` and `runs.tar.gz`. A call on a machine that lacks
--keep begins from the copies in --before. --last: the anchors and the idle power once more, at the end.
--tiny (any call): on the CPU, with toy models and a made-up meter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import export
import fidelity_plan
import h200_one_card as one_card
import plan
from fidelity_plan import Piece, Setting
from keep import FAILED, TwofoldJournal, gather
from running import Run, described, free

from llmsim.measurement.journal import read
from llmsim.measurement.nvml import NvmlMeter

JOURNAL, BUNDLE, RUNNING = "campaign.jsonl", "runs.tar.gz", one_card.RUNNING
TRIALS, DONE = "trials.csv", "done"
# A process is ended so long after its time.
GRACE_S = 6.0
# Between copies of the runs to OUT, and what the last of a call takes.
BUNDLE_EVERY_S, BUNDLE_S = 30.0, 4.0
# Anchors with loading and idle power at the end; the least worth starting the cells of the CPU in, and the
# search for the capacity.
ANCHORS_S, CPU_S, CAPACITY_S = 45.0, 98.0, 15.0
# Least of a call that is worth starting the campaign's worker for.
WORKER_S = 30.0
MOST_WORKERS = 6
ANOTHER_CARD = 3
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PATHS = (ROOT, HERE.parent, ROOT / "plugins" / "llmsim-onnxruntime")


def environment() -> dict[str, str]:
    """Of every process: this tree is found from any folder."""
    paths = [*map(str, PATHS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def llmsim(words: Sequence[str]) -> list[str]:
    """The command of a run; flags come before what they apply to."""
    flags = [word for word in words if word.startswith("--")]
    return [sys.executable, "-m", "llmsim", *flags, *(word for word in words if word not in flags)]


class Call:
    """One call: where things are, and how much time is left.

    Args:
        args: of the command.
    """

    def __init__(self, args: Any) -> None:
        self.args = args
        self.until = time.time() + args.seconds - BUNDLE_S
        self.keep: Path = args.keep.resolve()
        self.out: Path = args.out.resolve()
        self.runs = self.keep / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        self.setting = Setting(args.tiny, self.keep / TRIALS, self.keep / "conf")
        self._bundled = 0.0

    @property
    def left_s(self) -> float:
        """Seconds in which work may still be done."""
        return self.until - time.time()

    def say(self, *words: object) -> None:
        """A line with the time that is left."""
        print(f"[{self.left_s:6.1f} s left]", *words, flush=True)

    def restore(self) -> None:
        """Take what an earlier machine left, where this one has less."""
        found = gather([self.keep, self.args.before], self.out, (JOURNAL, FAILED))
        bundle = self.args.before / BUNDLE
        if bundle.exists() and not any(self.runs.iterdir()):
            with tarfile.open(bundle) as file:
                file.extractall(self.keep, filter="data")
            found[BUNDLE] = str(bundle)
        self.say("begins from", found or "nothing")

    def bundle(self) -> None:
        """Copy the runs to OUT."""
        self._bundled = time.time()
        part = self.out / f".{BUNDLE}"
        with tarfile.open(part, "w:gz", compresslevel=4) as file:
            for path in sorted(self.keep.rglob("*")):
                if path.is_file() and path.name not in (JOURNAL, FAILED, RUNNING):
                    file.add(path, str(path.relative_to(self.keep)))
        part.replace(self.out / BUNDLE)

    def run(self, command: Sequence[str], folder: Path, echo: bool = False) -> int:
        """A process in a folder, ended when the call's time is over; its exit code."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "out.txt").open("a") as out:
            child = subprocess.Popen(
                list(command),
                cwd=folder,
                env=environment(),
                stdout=None if echo else out,
                stderr=None if echo else subprocess.STDOUT,
            )
            while child.poll() is None:
                if self.left_s < -GRACE_S:
                    child.kill()
                    child.wait()
                    self.say("ended, for its time was over:", folder.name)
                    return 124
                if time.time() - self._bundled > BUNDLE_EVERY_S:
                    self.bundle()
                time.sleep(0.1)
        return int(child.returncode)


def campaign(call: Call, what: str) -> int:
    """The campaign's worker, started again without the cell that brought it down; its exit code."""
    code = 1
    for _ in range(MOST_WORKERS):
        command = [sys.executable, str(HERE / "h200_fidelity.py"), *sys.argv[1:]]
        command += ["--worker", what, "--until", str(call.until)]
        code = call.run(command, ROOT, echo=True)
        running = call.out / RUNNING
        if code in (0, ANOTHER_CARD, 124) or not running.exists() or call.left_s < WORKER_S:
            break
        with (call.out / FAILED).open("a") as file:
            file.write(running.read_text() + "\n")
        shutil.copy(call.out / FAILED, call.keep / FAILED)
        call.say(f"put aside, for it brought the process down ({code}):", running.read_text())
        running.unlink()
    return code


def worker(args: Any) -> int:
    """The process that measures cells: anchors, jobs, anchors again."""
    call = Call(args)
    meter = one_card.made_up_meter() if args.tiny else NvmlMeter()
    if (reason := meter.unavailable()) is not None:
        print(reason, flush=True)
        return 1
    failed = call.out / FAILED
    with ExitStack() as stack:
        journal = stack.enter_context(TwofoldJournal(call.out / JOURNAL, second=call.keep / JOURNAL))
        stack.callback(meter.close)
        names = frozenset(failed.read_text().splitlines()) if failed.exists() else frozenset()
        until_s = time.perf_counter() + args.until - time.time()
        run = Run(args, until_s, journal, meter, names, fidelity_plan.SOURCE, name=fidelity_plan.SOURCE)
        run.least = fidelity_plan.TINY_LEAST if args.tiny else fidelity_plan.LEAST
        run.per_visit = fidelity_plan.PER_VISIT
        run.source = one_card.note_card(run)
        if run.source != run.name:
            run.say("ANOTHER CARD than that of the first call: stop here, or begin anew with another --keep")
            return ANOTHER_CARD
        run.jobs = fidelity_plan.TINY_JOBS if args.tiny else fidelity_plan.JOBS
        if args.worker == "cells":
            cells(run)
        elif args.worker == "anchors":
            anchors(run, f"call {args.call} end")
            one_card.idle(run, f"model_loaded {run.jobs[0]}, after call {args.call}", 0.6)
    return 0


def cells(run: Run) -> None:
    """Every job's cells."""
    fresh = not run.said("trial")
    if fresh:
        one_card.idle(run, "bare", 0.3)
        if run.device == "cuda":
            import torch

            torch.zeros(1, device="cuda")
        one_card.idle(run, "context", 0.5)
        anchors(run, "begin")
    for job in run.jobs:
        left_s = one_card.needs_s(run, job, (job.core, job.check), run.first)
        if left_s and run.left_s > plan.LOAD_S:
            run.say(f"{job}: about {left_s:.0f} s")
            one_card.visit(run, job, None, (job.core, job.check), None)
    run.say("worker done;", "whole" if whole(run) else "cells are left")


def whole(run: Run) -> bool:
    """Whether every cell has been measured."""
    return not any(one_card.needs_s(run, job, (job.core, job.check), run.first) for job in run.jobs)


def anchors(run: Run, name: str) -> None:
    """The anchor cells of the first model."""
    job = run.jobs[0]
    model = described(run.args, job.model)
    bench = one_card.open_bench(run, model, job, plan.pool_for(run.anchors))
    one_card.anchors(run, bench, model, name, plan.ANCHOR_STOPPING)
    bench.close()
    free(run.device)


def cpu_cells(call: Call) -> None:
    """Cells of the small model on the CPU."""
    setting = call.setting
    folder = call.runs / "cpu_campaign"
    levels = fidelity_plan.TINY_LEVELS if setting.tiny else fidelity_plan.CPU_LEVELS
    words = [
        "task=characterize", "backend=onnxruntime", "hardware=cpu",
        "meter=rapl", f"model={setting.models[2]}", "task.precision=int4", *levels,
        *(f"backend.{key}={value}" for key, value in setting.cpu.items()),
        "task.journal=cpu.jsonl", "hydra.run.dir=result",
        *setting.folder,
    ]  # fmt: skip
    code = call.run(llmsim(words), folder)
    if code == 0:
        (folder / DONE).touch()
    call.say(f"cells on the CPU: exit code {code}\n{(folder / 'out.txt').read_text()[-2500:]}")


def trials_of(call: Call) -> int:
    """Write the table of all trials, of this card and of the CPU."""
    journals = [call.keep / JOURNAL, call.runs / "cpu_campaign" / "cpu.jsonl"]
    entries = [entry for path in journals if path.exists() for entry in read(path).entries]
    found = [row for entry in entries if entry["kind"] == "trial" and (row := export.row(entry)) is not None]
    export.write(call.keep / TRIALS, export.NAMES, found)
    return len(found)


def rates(call: Call) -> dict[str, float]:
    """The capacity of a continuous instance, and what the GPU serves one query at a time; kept once found."""
    setting, path = call.setting, call.keep / "capacity.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    # The small model has no accuracy score, which the policy of a run without one would ask for.
    words = {"continuous": setting.continuous(), "serial": [*setting.alone(), "policy=round_robin"]}
    found = {}
    for name in words:
        done = subprocess.run(
            [sys.executable, str(HERE / "capacity.py"), *words[name]],
            capture_output=True, text=True, cwd=call.keep, check=False, env=environment(),
        )  # fmt: skip
        if done.returncode:
            call.say(f"the capacity, {name}, was not found:", done.stderr[-1500:])
            return {}
        found[name] = json.loads(done.stdout)
        call.say(f"capacity, {name}:", done.stdout.strip())
    both = {
        "capacity_per_s": found["continuous"]["capacity_per_s"],
        "serial_per_s": found["serial"]["saturated_per_s"],
    }
    path.write_text(json.dumps({**both, "found": found}))
    return both


def play(call: Call, piece: Piece, found: dict[str, float]) -> None:
    """One run by the command line; what it printed last is shown."""
    folder = call.runs / piece.name
    words = piece.words(found)
    begin = time.time()
    call.say(f"{piece.name}: about {piece.expected_s:.0f} s: python -m llmsim", " ".join(words))
    code = call.run(llmsim(words), folder)
    took_s = time.time() - begin
    told = {"name": piece.name, "code": code, "took_s": took_s, "call": call.args.call, "words": words}
    with (call.keep / "pieces.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")
    printed = (folder / "out.txt").read_text()
    call.say(f"{piece.name}: exit code {code}, {took_s:.0f} s\n{printed[-2500:]}")
    call.bundle()


def done(call: Call, piece: Piece) -> bool:
    """Whether a run is whole."""
    return (call.runs / piece.name / "result" / "summary.json").exists()


def play_all(call: Call, found: dict[str, float], reserve_s: float) -> None:
    """The runs that fit, in order; one that failed twice in this call is left."""
    factor = 0.0 if call.args.tiny else 1.0
    tries: dict[str, int] = {}
    while True:
        fitting = [
            piece
            for piece in fidelity_plan.pieces(call.setting)
            if not done(call, piece)
            and piece.name not in call.args.skip
            and tries.get(piece.name, 0) < 1
            and factor * piece.expected_s < call.left_s - reserve_s
        ]
        if not fitting or call.left_s < 0:
            return
        tries[fitting[0].name] = tries.get(fitting[0].name, 0) + 1
        play(call, fitting[0], found)


def tiny_conf(call: Call) -> None:
    """Descriptions of the toy models."""
    folder = call.setting.conf / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for name, layers, accuracy in (("tiny_a", 2, 50.0), ("tiny_b", 3, 55.0)):
        text = fidelity_plan.TINY_MODEL.format(name=name, layers=layers, accuracy=accuracy)
        (folder / f"{name}.yaml").write_text(text)


def supervise(args: Any) -> int:
    """A call."""
    call = Call(args)
    call.restore()
    if args.tiny:
        tiny_conf(call)
    code = stages(call)
    call.bundle()
    left = [piece.name for piece in fidelity_plan.pieces(call.setting) if not done(call, piece)]
    call.say("runs that are not done:", ", ".join(left) or "none")
    return code


def stages(call: Call) -> int:
    """Everything that is to be done, in order; 0 unless the campaign cannot go on."""
    code = campaign(call, "cells")
    if code == ANOTHER_CARD:
        return code
    if not cpu_done(call) and "cpu" not in call.args.skip:
        if call.left_s < CPU_S and not call.args.tiny:
            return 0
        cpu_cells(call)
    reserve_s = ANCHORS_S if call.args.last and not call.args.tiny else 0.0
    call.say(trials_of(call), "trials in the table")
    if call.left_s > CAPACITY_S and (found := rates(call)):
        play_all(call, found, reserve_s)
    if call.args.last and call.left_s > 0:
        campaign(call, "anchors")
    return 0


def cpu_done(call: Call) -> bool:
    """Whether the CPU's cells were measured to the end."""
    return (call.runs / "cpu_campaign" / DONE).exists()


def parsed() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("call", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/h200_fidelity"))
    parser.add_argument("--before", type=Path, default=Path(".carry"))
    parser.add_argument("--last", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--until", type=float, help="of a worker: when no trial may begin any more")
    parser.add_argument("--worker", choices=("cells", "anchors"), help="of a worker: what it measures")
    args = parser.parse_args()
    args.calls = None  # which call is the last one does not matter to the campaign
    args.conf = args.keep / "conf" if args.tiny else ROOT / "conf"
    return args


if __name__ == "__main__":
    arguments = parsed()
    sys.exit(supervise(arguments) if arguments.worker is None else worker(arguments))
