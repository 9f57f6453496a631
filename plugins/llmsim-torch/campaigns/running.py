"""One process of the campaign: what it knows, the models it loads, what it says of its progress."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import plan
from keep import TwofoldJournal
from plan import JOBS, SOURCE, Job, Settings

from llmsim.measurement.campaign import Campaign, Pace, Subject
from llmsim.measurement.cell import Cell
from llmsim.measurement.nvml import NvmlMeter
from llmsim.measurement.stopping import Stopping

# What the last call keeps for its end: anchors once more, idle power; and that of the trial with a toy.
END_S, TINY_END_S = 40.0, 8.0
# What every call spends before its first job: imports, idle power, anchors.
START_S = 60.0
# Between lines of progress, s.
TELL_S = 10.0


@dataclass
class Run:
    """One worker's state.

    Attributes:
        args: of the command.
        until_s: on `time.perf_counter`: no trial begins after it.
        journal, meter: open.
        failed: names of cells that are not to be tried.
        source: of its trials; another one on another card.
        jobs: what it measures, in order.
        name: of the campaign: its trials' source on the first card.
        least, per_visit: repeats of a cell, and how many of them before another cell is visited.
        told_s: when progress was last told.
    """

    args: Any
    until_s: float
    journal: TwofoldJournal
    meter: NvmlMeter
    failed: frozenset[str]
    source: str
    jobs: tuple[Job, ...] = JOBS
    name: str = SOURCE
    least: int = plan.LEAST
    per_visit: int = plan.PER_VISIT
    told_s: float = 0.0

    @property
    def first(self) -> Stopping:
        """The least repeats, and no more."""
        return Stopping(self.least, self.least)

    @property
    def device(self) -> str:
        return "cpu" if self.args.tiny else "cuda"

    @property
    def anchors(self) -> list[Cell]:
        return list(plan.TINY_ANCHORS if self.args.tiny else plan.ANCHORS)

    @property
    def end_s(self) -> float:
        return TINY_END_S if self.args.tiny else END_S

    @property
    def last_call(self) -> bool:
        return bool(self.args.call == self.args.calls)

    @property
    def left_s(self) -> float:
        """Seconds of this call that are left for jobs."""
        return self.until_s - (self.end_s if self.last_call else 0.0) - time.perf_counter()

    @property
    def left_in_all_s(self) -> float:
        """Seconds left for jobs, the calls after this one counted in."""
        after = self.args.calls - self.args.call
        later = after * (self.args.seconds - START_S) - (self.end_s if after else 0.0)
        return self.left_s + max(0.0, later)

    def say(self, *words: object) -> None:
        """A line with the time that is left of this call."""
        print(f"[{self.until_s - time.perf_counter():6.1f} s left]", *words, flush=True)

    def tell(self, job: str) -> Any:
        """Progress of a campaign, now and then."""

        def told(cell: str, done: int, wanted: int) -> None:
            if time.perf_counter() - self.told_s > TELL_S:
                self.told_s = time.perf_counter()
                self.say(f"{job}: {done} of {wanted} repeats; {cell}")

        return told

    def within(self, seconds: float, per_visit: int) -> Pace:
        """The pace, until so many seconds from now."""
        end_s = time.perf_counter() + seconds
        return Pace(plan.WINDOW_S, plan.SETTLE_S, plan.CAPPED_S, per_visit, deadline_s=end_s)

    def slowness(self) -> float:
        """Seconds that jobs took so far over those that were expected."""
        done = self.said("job_took")
        expected = sum(entry["expected_s"] for entry in done)
        return sum(entry["took_s"] for entry in done) / expected if expected else 1.0

    def of(self, subject: Subject) -> list[dict[str, Any]]:
        """The trials of a subject so far."""
        return [entry for entry in self.journal.entries if entry.get("subject") == vars(subject)]

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The entries of a kind so far."""
        return [entry for entry in self.journal.entries if entry["kind"] == kind]


@dataclass
class Watched:
    """A bench that writes down which cell it is about to run, so that a crash has a name."""

    bench: Any
    job: str
    note: Path

    def prepare(self, cell: Cell) -> Any:
        self.note.write_text(named(self.job, cell))
        return self.bench.prepare(cell)

    def conditions(self) -> Any:
        return self.bench.conditions()


def named(job: str, cell: Cell) -> str:
    return f"{job}: {cell.experiment} {cell.batch} {cell.tau_in} {cell.tau_out}"


def described(args: Any, name: str) -> Any:
    """A model's description, with what it leaves out."""
    import yaml

    if name == "tiny":
        return plan.tiny_model()
    values = {"sliding_window_tokens": None, "trials_model": None, "experts": 0, "experts_per_token": 0}
    return SimpleNamespace(**(values | yaml.safe_load((args.conf / "model" / f"{name}.yaml").read_text())))


def subject_of(model: Any, job: Job, source: str) -> Subject:
    """What the trials of a job have in common."""
    return Subject("h200", model.trials_model or job.model, 1, "bf16", "none", job.kv_cache, source)


def open_bench(run: Run, model: Any, job: Job, pool: int) -> Any:
    """The model in memory, its weights drawn on the device."""
    import torch
    import transformers

    from llmsim_torch.bench import TorchBench
    from llmsim_torch.decoder import Decoder
    from llmsim_torch.ops import Heads, TorchOps
    from llmsim_torch.resident import Resident
    from llmsim_torch.weights import random_model, weights_of

    begin_s = time.perf_counter()
    gc.collect()
    gc.freeze()  # every capture collects garbage: libraries are none, and need not be looked through again
    on = torch.device(run.device)
    weights = weights_of(random_model(model, on, torch.bfloat16, seed=0))
    heads = Heads(model.num_attention_heads, model.num_key_value_heads, model.head_dim)
    ops = TorchOps()
    name = "cpu"
    if run.device == "cuda":
        from llmsim_torch.triton_ops import TritonOps

        ops, name = TritonOps(), torch.cuda.get_device_name()
        torch.cuda.synchronize()
    conditions = {
        "weights": "random",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": name,
        "call": run.args.call,
    }
    decoder = Decoder(weights, heads, model.sliding_window_tokens, plan.longest(model), ops)
    bench = TorchBench(Resident(decoder, pool), job.kv_cache, conditions)
    run.say(f"{job}: loaded in {time.perf_counter() - begin_s:.1f} s")
    return bench


def free(device: str) -> None:
    """Give back what the last model held."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()


def campaign_of(run: Run, job: Job, model: Any, pace: Pace, stopping: Stopping) -> Campaign:
    """A campaign over a job's cells; checks are marked, and measured less often."""
    checks = dict.fromkeys(job.check.cells(plan.longest(model)), "check")
    subject = subject_of(model, job, run.source)
    return Campaign(subject, run.journal, [run.meter], pace, stopping, checks, plan.FIRST_CHECKS)


def left_of(run: Run, job: Job, model: Any, parts: Sequence[Settings], stopping: Stopping) -> list[Cell]:
    """Cells of those parts of a job that want more trials and brought no process down."""
    campaign = campaign_of(run, job, model, Pace(), stopping)
    found = {cell for part in parts for cell in part.cells(plan.longest(model))}
    return sorted(
        cell for cell in found if not campaign.done(cell) and named(str(job), cell) not in run.failed
    )


def needs_s(run: Run, job: Job, parts: Sequence[Settings], stopping: Stopping) -> float:
    """About how long those parts of a job still take, without loading, s; 0 where another card did them."""
    model = described(run.args, job.model)
    wide = left_of(run, job, model, parts, stopping)
    if stopping != run.first:
        return plan.PRODUCTIVE_S * bool(wide)
    per_visit = run.per_visit if job.kv_cache else plan.PER_VISIT_OFF
    counts = Counter(Cell(**entry["cell"]) for entry in run.of(subject_of(model, job, run.source)))
    checks = job.check.cells(plan.longest(model))
    if not counts and _elsewhere(run, job, model, parts):
        return 0.0
    return sum(
        plan.cell_s(
            model,
            cell,
            (plan.CHECKS if cell in checks else run.least) - counts[cell],
            per_visit,
            job.kv_cache,
        )
        for cell in wide
    )


def _elsewhere(run: Run, job: Job, model: Any, parts: Sequence[Settings]) -> bool:
    """Whether another card has measured all of it."""
    others = {entry["subject"]["source"] for entry in run.said("trial")} - {run.source}
    for source in others:
        other = replace(run, source=source)
        if not left_of(other, job, model, parts, other.first):
            return True
    return False
