"""The campaign behind `llmsim/data/measurements/h200_one_card.csv`: everything on one card, in a few calls.

    python h200_one_card.py CALL CALLS SECONDS OUT [--keep FOLDER] [--before FOLDER] [--conf FOLDER] [--tiny]

CALL is 1, 2, ... of CALLS, each of at most SECONDS. Everything is one journal, appended and synced trial by
trial, in OUT and in the folder that the machine keeps between calls (--keep); a call goes on from the longest
copy that it finds there or in --before. Each call measures five anchor cells first and says how far they are
from the first call's, and whether it is the same card. Cells that bring the process down are put aside, and
the rest goes on in a new process. --tiny: on the CPU, with a made-up meter and a model of toy size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import plan
import proof
from keep import FAILED, JOURNAL, TwofoldJournal, gather
from plan import SOURCE, Job, Settings
from running import (
    START_S,
    Run,
    Watched,
    campaign_of,
    described,
    free,
    left_of,
    needs_s,
    open_bench,
    subject_of,
)

from llmsim.measurement.campaign import Campaign, Subject
from llmsim.measurement.idle import measure_idle
from llmsim.measurement.nvml import NvmlMeter
from llmsim.measurement.stopping import Stopping

# Idle power after the worker has gone.
BARE_S = 8.0
# A worker that is not done so long after its time is ended.
GRACE_S = 12.0
MOST_WORKERS = 8
RUNNING = "running.txt"


def measure(run: Run, job: Job, bench: Any, parts: Sequence[Settings], share_s: float | None) -> None:
    """Trials of some parts of a job.

    Args:
        share_s: None: the least repeats of every cell, while the call lasts. Else no longer than this, and
            when the least are done, repeats go on until the intervals are narrow.
    """
    begin_s, model = time.perf_counter(), described(run.args, job.model)
    expected_s = needs_s(run, job, parts, run.first)
    watched = Watched(bench, str(job), run.args.out / RUNNING)
    rng = np.random.default_rng(int(time.time()))
    per_visit = run.per_visit if job.kv_cache and share_s is None else plan.PER_VISIT_OFF
    for stopping in (run.first,) if share_s is None else (run.first, plan.WHOLE):
        of_share_s = (share_s or run.left_s) - (time.perf_counter() - begin_s)
        pace = run.within(min(of_share_s, run.left_s), per_visit)
        cells = left_of(run, job, model, parts, stopping)
        campaign_of(run, job, model, pace, stopping).run(watched, cells, rng, run.tell(str(job)))
    (run.args.out / RUNNING).unlink(missing_ok=True)
    took_s = time.perf_counter() - begin_s
    left, wide = (len(left_of(run, job, model, parts, stopping)) for stopping in (run.first, plan.WHOLE))
    if share_s is None and not left:
        run.journal.append({"kind": "job_took", "job": str(job), "expected_s": expected_s, "took_s": took_s})
    run.say(
        f"{job}: took {took_s:.0f} s, expected {expected_s:.0f}; {left} cells not done, {wide} wider than 1 %"
    )
    show(run, bench, model, subject_of(model, job, run.source))


def show(run: Run, bench: Any, model: Any, subject: Subject) -> None:
    """The table of a subject's cells."""
    copies = run.said("copy_bandwidth")
    rate = copies[-1]["median_b_s"] if copies else float("nan")
    step_bytes = bench.resident.decoder.weights.bytes_per_step
    print("\n".join(proof.table(run.of(subject), model, step_bytes, rate)), flush=True)


def measure_needed(run: Run, loaded: tuple[Job, Any] | None) -> None:
    """Every job's core and checks, in order, and what can be spared where the time for it is there."""
    for place, job in enumerate(run.jobs):
        need = [needs_s(run, each, (each.core, each.check), run.first) for each in run.jobs[place:]]
        spare = [needs_s(run, each, (each.spare,), run.first) for each in run.jobs[place:]]
        loads_s = plan.LOAD_S * sum(each > 0 for each in need)
        wanted_s = run.slowness() * (sum(need) + sum(spare)) + loads_s
        enough = run.left_in_all_s >= wanted_s
        run.say(
            f"{job}: {run.left_in_all_s:.0f} s are left in all; wanted {wanted_s:.0f} (slowness "
            f"{run.slowness():.2f}, spare {sum(spare):.0f})"
        )
        if (need[0] or (enough and spare[0])) and run.left_s > plan.LOAD_S:
            parts = (job.core, job.check, job.spare) if enough else (job.core, job.check)
            visit(run, job, loaded, parts, None)
            loaded = None
    if loaded is not None:
        loaded[1].close()


def measure_more(run: Run) -> None:
    """What else is worth measuring, each job with its share of the time that is left."""
    for place, job in enumerate(run.jobs):
        needs = [needs_s(run, each, _all(each), plan.WHOLE) for each in run.jobs[place:]]
        if needs[0] and run.left_s > plan.LOAD_S + plan.PRODUCTIVE_S:
            share_s = run.left_in_all_s * needs[0] / sum(needs) - plan.LOAD_S
            visit(run, job, None, _all(job), max(plan.PRODUCTIVE_S, share_s))


def _all(job: Job) -> tuple[Settings, ...]:
    return (job.core, job.check, job.spare, job.more)


def visit(
    run: Run, job: Job, loaded: tuple[Job, Any] | None, parts: Sequence[Settings], share_s: float | None
) -> None:
    """Load a job's model, unless it is there already, measure, and unload it."""
    bench = None
    if loaded is not None:
        bench = loaded[1] if loaded[0] == job else loaded[1].close()
    model = described(run.args, job.model)
    if bench is None:
        bench = opened(run, model, job)
    if bench is not None:
        measure(run, job, bench, parts, share_s)
        bench.close()
    free(run.device)


def opened(run: Run, model: Any, job: Job) -> Any:
    """The model in memory, and idle power with it there; None where it does not fit, which is kept too."""
    import torch

    free(run.device)
    try:
        bench = open_bench(run, model, job, plan.pool_for(plan.every_cell(model, job)))
    except torch.OutOfMemoryError as error:
        run.journal.append({"kind": "not_loaded", "job": str(job), "why": str(error).splitlines()[0]})
        run.say(f"{job} does not fit: {error}")
        return None
    measure_idle([run.meter], run.journal, f"model_loaded {job}", rest_s=0.6, window_s=1.0)
    return bench


def anchors(run: Run, bench: Any, model: Any, name: str, stopping: Stopping) -> None:
    """The anchor cells, and how far they are from the first call's."""
    cells = run.anchors
    subject = subject_of(model, run.jobs[0], f"{run.name} anchors {name}")
    pace = run.within(run.until_s - time.perf_counter(), stopping.most)
    marks = dict.fromkeys(cells, "anchor")
    Campaign(subject, run.journal, [run.meter], pace, stopping, marks).run(
        bench, cells, np.random.default_rng(1)
    )
    print("\n".join(proof.offsets(run.journal.entries, f"{run.name} anchors")), flush=True)


def prove(run: Run, bench: Any) -> None:
    """Copy bandwidth and what metering costs, once."""
    if not run.said("copy_bandwidth"):
        run.journal.append(proof.copy_bandwidth(run.device))
        free(run.device)
        run.say(f"copy bandwidth {run.said('copy_bandwidth')[-1]['median_b_s'] / 1e12:.3f} TB/s")
    if not run.said("metering_cost"):
        cells = run.anchors if run.args.tiny else plan.METERED
        for entry in proof.metering_cost(bench, cells, run.meter):
            run.journal.append(entry)
            run.say(
                f"metering costs {entry['fraction'] * 100:+.3f} +-{entry['fraction_half_width'] * 100:.3f} % "
                f"of the time of {entry['cell']}"
            )


def note_card(run: Run) -> str:
    """Write down which card it is, and say when it is another one than before; the source of its trials."""
    now = run.meter.describe()
    before = sorted({_cards(entry["meters"]) for entry in run.said("meter")})
    run.journal.append({"kind": "meter", "meters": now, "call": run.args.call, "at_unix_s": time.time()})
    card = _cards(now)
    run.say(now)
    run.say(
        f"CARD {card}: " + ("the same" if card in before else f"ANOTHER than {before}" if before else "first")
    )
    first = _cards(run.said("meter")[0]["meters"])
    return run.name if card == first else f"{run.name} card {card}"


def _cards(meters: Sequence[dict[str, Any]]) -> str:
    return "+".join(sorted({str(item["card"]) for item in meters}))


def idle(run: Run, state: str, rest_s: float = 1.0, window_s: float = 1.5) -> None:
    watts = measure_idle([run.meter], run.journal, state, rest_s, window_s)["sum_w"]
    run.say(f"idle, {state}: {watts} W")


def work(run: Run, again: bool) -> None:
    """A call: anchors, proofs, jobs; in the last one the anchors once more."""
    run.source = note_card(run)
    if not again:
        idle(run, f"bare, before call {run.args.call}", 0.3)
    job = run.jobs[0]
    model = described(run.args, job.model)
    if run.device == "cuda":
        import torch

        torch.zeros(1, device="cuda")
    if not again:
        idle(run, f"context, before call {run.args.call}", 0.5)
    bench = open_bench(run, model, job, plan.pool_for([*plan.every_cell(model, job), *run.anchors]))
    if not again:
        idle(run, f"model_loaded {job}, before call {run.args.call}", 0.6)
        anchors(run, bench, model, f"call {run.args.call}", plan.ANCHOR_STOPPING)
    prove(run, bench)
    loaded, bench = (job, bench), None
    measure_needed(run, loaded)
    del loaded
    measure_more(run)
    if run.last_call:
        bench = open_bench(run, model, job, plan.pool_for(run.anchors))
        anchors(run, bench, model, "end", plan.REPEAT_STOPPING)
        show(run, bench, model, subject_of(model, job, f"{run.name} anchors end"))
        idle(run, f"model_loaded {job}, after call {run.args.call}", 0.6, 1.5)
    run.say("worker done")


def worker(args: Any) -> None:
    """The process that measures; another one follows it when it is brought down."""
    meter = made_up_meter() if args.tiny else NvmlMeter()
    if (reason := meter.unavailable()) is not None:
        sys.exit(reason)
    failed = args.out / FAILED
    with ExitStack() as stack:
        journal = stack.enter_context(TwofoldJournal(args.out / JOURNAL, second=args.keep / JOURNAL))
        stack.callback(meter.close)
        names = frozenset(failed.read_text().splitlines()) if failed.exists() else frozenset()
        until_s = time.perf_counter() + args.until - time.time()
        jobs = plan.TINY_JOBS if args.tiny else plan.JOBS
        run = Run(args, until_s, journal, meter, names, SOURCE, jobs)
        work(run, args.again)


def made_up_meter() -> NvmlMeter:
    from tests.measurement.made_up import Nvml

    return NvmlMeter.over(Nvml())


def supervise(args: Any) -> int:
    """Start workers until one ends well or the time is over; put aside the cell that brought one down."""
    begin_s = time.time()
    last = args.call == args.calls
    until = begin_s + args.seconds - (BARE_S if last else 0.0)
    print("journals:", gather([args.keep, args.before], args.out), flush=True)
    code = 1
    for attempt in range(MOST_WORKERS):
        command = [sys.executable, *sys.argv, "--until", str(until)] + (["--again"] if attempt else [])
        child = subprocess.Popen(command)
        try:
            code = child.wait(max(1.0, until + GRACE_S - time.time()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            print("the worker was ended: its time was over", flush=True)
            return 124
        running = args.out / RUNNING
        if code == 0 or not running.exists() or time.time() > until - (0 if args.tiny else START_S):
            break
        with (args.out / FAILED).open("a") as file:
            file.write(running.read_text() + "\n")
        (args.keep / FAILED).write_text((args.out / FAILED).read_text())
        print(f"put aside, for it brought the process down ({code}): {running.read_text()}", flush=True)
        running.unlink()
    if last:
        bare_after(args)
    return code


def bare_after(args: Any) -> None:
    """Idle power once the process with the CUDA context is gone."""
    meter = made_up_meter() if args.tiny else NvmlMeter()
    if meter.unavailable() is None:
        with TwofoldJournal(args.out / JOURNAL, second=args.keep / JOURNAL) as journal:
            entry = measure_idle([meter], journal, f"bare, after call {args.call}", 2.0, 2.0)
            print("idle, bare, at the end:", entry["sum_w"], "W", flush=True)
    meter.close()


def parsed() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("call", type=int)
    parser.add_argument("calls", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/h200_one_card"))
    parser.add_argument("--before", type=Path, default=Path(".carry"))
    parser.add_argument("--conf", type=Path, default=Path("conf"))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument(
        "--until", type=float, help="of a worker: when no trial may begin any more (Unix time)"
    )
    parser.add_argument("--again", action="store_true", help="of a worker: one before it was brought down")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parsed()
    if arguments.until is None:
        sys.exit(supervise(arguments))
    worker(arguments)
