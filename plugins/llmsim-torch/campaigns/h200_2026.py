"""The campaign behind `llmsim/data/measurements/h200_2026.csv`.

    python h200_2026.py CONF_FOLDER OUT_FOLDER SECONDS STAGE [PREVIOUS_JOURNALS...]

Writes `trials.jsonl` and `anchors.jsonl` into OUT_FOLDER as it goes and prints a table. Journals of an
earlier run, given as arguments, are gone on with. Stops beginning new trials after SECONDS. STAGE chooses a
plan: see PLANS. The journal of the trials shipped so far is beside this file, compressed: unpack it and give
it as an argument to go on from there.
"""

from __future__ import annotations

import gc
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from llmsim.measurement.campaign import Campaign, Pace, Subject
from llmsim.measurement.cell import Cell
from llmsim.measurement.idle import measure_idle
from llmsim.measurement.journal import Journal
from llmsim.measurement.nvml import NvmlMeter
from llmsim.measurement.stopping import Stopping, half_width_pct

BEGIN_S = time.perf_counter()
SOURCE = "h200_2026"
TRIALS, ANCHOR_TRIALS, FAILED = "trials.jsonl", "anchors.jsonl", "failed.txt"
STOPPING = Stopping(most=6)
STEPS = 17
# Memory bandwidth of a copy on this board, bytes read and written, B/s (measured on it: 4.25e12).
COPY_BANDWIDTH = 4.25e12

# (batch, context): every key and value head apart, or shared by groups of query heads.
DECODE_MHA = [
    (1, 64), (1, 4000), (8, 2048), (16, 128), (16, 2048), (32, 512), (64, 64), (64, 1024), (128, 64),
    (128, 512),
]  # fmt: skip
DECODE_MHA_MORE = [(1, 1024), (4, 512)]
DECODE_GQA = [
    (1, 64), (1, 8000), (8, 4000), (16, 128), (16, 2048), (32, 512), (64, 64), (64, 2048), (128, 256),
    (128, 2048),
]  # fmt: skip
DECODE_GQA_MORE = [(1, 2048), (4, 1024)]
DECODE_LARGE = [
    (1, 64), (1, 8000), (8, 4000), (16, 128), (16, 2048), (32, 512), (64, 64), (64, 1024), (128, 256),
    (128, 1000),
]  # fmt: skip
# (tokens, batch)
PREFILL = [(1, 1), (64, 1), (128, 1), (256, 1), (512, 1), (1024, 1), (4000, 1), (8000, 1), (32, 16)]
PREFILL_MORE = [(2048, 1), (1024, 8)]
# (tau_in, tau_out), without a KV cache
OFF = [
    (8, 8), (8, 32), (8, 128), (32, 512), (128, 32), (128, 128), (512, 8), (512, 64), (2048, 8), (2048, 32),
]  # fmt: skip
ANCHORS = [
    Cell("decode", 1, 1024, STEPS), Cell("decode", 16, 2048, STEPS), Cell("decode", 64, 1024, STEPS),
    Cell("prefill", 1, 1024, 1), Cell("prefill", 1, 4000, 1),
]  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A model, with or without a KV cache, and how dense its grid is."""

    model: str
    kv_cache: bool = True
    more: bool = False


# In order of need: what the time does not reach is left to a later run.
ALL = [
    Job("llama2_7b", more=True), Job("llama3_1_8b", more=True), Job("llama2_7b", False), Job("qwen2_5_7b"),
    Job("llama2_13b"), Job("mixtral_8x7b"), Job("mistral_7b"), Job("qwen2_5_32b"), Job("mistral_7b", False),
    Job("qwen2_5_7b", more=True), Job("llama2_13b", more=True), Job("mistral_7b", more=True),
    Job("mixtral_8x7b", more=True), Job("qwen2_5_32b", more=True),
]  # fmt: skip
PLANS = {"h200": ALL, "tiny": [Job("tiny"), Job("tiny", False)]}
LARGE = ("mixtral_8x7b", "qwen2_5_32b")


def say(*words: object) -> None:
    """A line with the time since the start."""
    print(f"[{time.perf_counter() - BEGIN_S:6.1f}]", *words, flush=True)


def longest(model: Any) -> int:
    """Tokens of the longest query that is measured."""
    return min(model.context_tokens, model.sliding_window_tokens or 8192 + STEPS, 8192 + STEPS)


def cells_of(model: Any, job: Job) -> list[Cell]:
    """The cells of a job that fit the model's context."""
    if not job.kv_cache:
        return [Cell("generation", 1, tau_in, tau_out) for tau_in, tau_out in OFF]
    limit = longest(model)
    large = job.model in LARGE
    grouped = model.num_attention_heads > model.num_key_value_heads
    decode = DECODE_LARGE if large else DECODE_GQA if grouped else DECODE_MHA
    prefill = PREFILL
    if job.more:
        decode = [*decode, *(DECODE_GQA_MORE if grouped else DECODE_MHA_MORE)]
        prefill = [*prefill, *PREFILL_MORE]
    contexts = {(batch, min(context, limit - STEPS)) for batch, context in decode}
    found = [Cell("decode", batch, context, STEPS) for batch, context in sorted(contexts)]
    found += [Cell("prefill", batch, tokens, 1) for tokens, batch in prefill if tokens < limit]
    return found


def subject_of(model: Any, job: Job, source: str) -> Subject:
    """What the trials of a job have in common."""
    return Subject("h200", model.trials_model or job.model, 1, "bf16", "none", job.kv_cache, source)


def finished_before(path: Path, model: Any, job: Job, cells: list[Cell]) -> bool:
    """Whether an earlier run measured all cells of a job."""
    with Journal(path) as journal:
        campaign = Campaign(subject_of(model, job, SOURCE), journal, [], stopping=STOPPING)
        return all(campaign.done(cell) for cell in cells)


def open_bench(model: Any, job: Job, pool: int, device: str) -> Any:
    """The model in memory."""
    import torch
    import transformers

    from llmsim_torch.bench import TorchBench
    from llmsim_torch.decoder import Decoder
    from llmsim_torch.ops import Heads, TorchOps
    from llmsim_torch.resident import Resident
    from llmsim_torch.weights import random_model, weights_of

    on = torch.device(device)
    weights = weights_of(random_model(model, on, torch.bfloat16, seed=0))
    heads = Heads(model.num_attention_heads, model.num_key_value_heads, model.head_dim)
    window, limit = model.sliding_window_tokens, longest(model)
    ops = TorchOps()
    conditions = {
        "weights": "random",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": device,
    }
    if device == "cuda":
        from llmsim_torch.triton_ops import TritonOps

        torch.cuda.empty_cache()
        ops = TritonOps()
        conditions["device"] = torch.cuda.get_device_name()
    decoder = Decoder(weights, heads, window, limit, ops)
    return TorchBench(Resident(decoder, pool), job.kv_cache, conditions)


def pool_for(cells: list[Cell]) -> int:
    """Tokens of a cache that every cell fits."""
    return max([cell.batch * -(-cell.tokens // 16) * 16 for cell in cells], default=2048)


def measure(job: Job, out: Path, meter: NvmlMeter, pace: Pace, setting: Any) -> None:
    """One job: load, measure its cells, print them."""
    model = setting.model
    cells = cells_of(model, job)
    if finished_before(out / TRIALS, model, job, cells):
        return
    bench = open_bench(model, job, pool_for(cells) if job.kv_cache else 2048, setting.device)
    say(f"{job}: {len(cells)} cells")
    subject = subject_of(model, job, SOURCE)
    with Journal(out / TRIALS) as journal:
        campaign = Campaign(subject, journal, [meter], pace, STOPPING)
        finished = campaign.run(bench, cells, np.random.default_rng(int(time.time())))
        say(f"{job}: {'done' if finished else 'NOT done'}")
        table([entry for entry in journal.entries if entry["subject"] == vars(subject)], bench, model)
    bench.close()


def measure_anchors(out: Path, meter: NvmlMeter, pace: Pace, setting: Any) -> None:
    """Five cells that every run measures first: what they differ by from run to run is the card's offset."""
    job = Job("llama2_7b")
    bench = open_bench(setting.model, job, pool_for(ANCHORS), setting.device)
    subject = subject_of(setting.model, job, f"{SOURCE} anchors {setting.run}")
    with Journal(out / ANCHOR_TRIALS) as journal:
        measure_idle([meter], journal, "model_loaded", window_s=2.0)
        Campaign(subject, journal, [meter], pace, Stopping(least=3, most=3)).run(
            bench, ANCHORS, np.random.default_rng(1)
        )
        table(
            [entry for entry in journal.entries if entry.get("subject") == vars(subject)],
            bench,
            setting.model,
        )
    bench.close()


def table(entries: list[Any], bench: Any, model: Any) -> None:
    """Means, intervals and, for decode, the distance from the memory roofline."""
    by_cell: dict[Cell, list[Any]] = {}
    for entry in entries:
        by_cell.setdefault(Cell(**entry["cell"]), []).append(entry)
    read = bench.resident.decoder.weights.bytes_per_step
    for cell, trials in sorted(by_cell.items()):
        good = [trial for trial in trials if trial["outcome"] == "completed"]
        if not good:
            print(f"  {cell}: {trials[0]['outcome']} {trials[0]['warnings']}", flush=True)
            continue
        seconds = [trial["runtime_s"] for trial in good]
        joules = [trial["energy_j"] for trial in good if trial["energy_j"] is not None]
        mean_s, mean_j = float(np.mean(seconds)), float(np.mean(joules)) if joules else float("nan")
        ratio = ""
        if cell.experiment == "decode" and not model.experts:
            steps = cell.tau_out - 1
            kv = cell.batch * (cell.tau_in + cell.tau_out / 2) * model.kv_bytes_per_token
            ratio = (
                f"{mean_s / steps * 1e3:8.3f} ms/step x{mean_s / steps * COPY_BANDWIDTH / (read + kv):.3f}"
            )
        print(
            f"  {cell.experiment:10s} b={cell.batch:<4d} in={cell.tau_in:<5d} out={cell.tau_out:<4d}"
            f" n={len(good)} {mean_s:9.5f} s +-{half_width_pct(seconds):5.2f}%"
            f" {mean_j:9.3f} J +-{half_width_pct(joules):5.2f}%"
            f" {mean_j / mean_s:6.1f} W {ratio}",
            flush=True,
        )


def metering_cost(meter: NvmlMeter, journal: Journal) -> None:
    """How each GPU is read, with what one read costs; kept in the journal."""
    journal.append({"kind": "meter", "meters": meter.describe()})
    say(meter.describe())


def main(conf: Path, out: Path, seconds: float, stage: str, previous: list[Path]) -> None:
    """Run a plan."""
    out.mkdir(parents=True, exist_ok=True)
    for path in previous:
        shutil.copy(path, out / path.name)
    tiny = stage == "tiny"
    library = sys.modules.get("made_up_nvml")
    meter = NvmlMeter() if library is None else NvmlMeter.over(library)
    if (reason := meter.unavailable()) is not None:
        sys.exit(reason)
    with Journal(out / ANCHOR_TRIALS) as journal:
        journal.append({"kind": "meter", "meters": meter.describe()})
        say(meter.describe())
        fresh = not any(entry["kind"] == "idle" for entry in journal.entries)
        if fresh:
            idle = measure_idle([meter], journal, "bare", rest_s=0.5)
            say("bare idle", idle["power_w"])
    pace = Pace(
        window_s=0.5 if tiny else 0.6,
        settle_s=0.05 if tiny else 0.6,
        per_visit=5,
        deadline_s=BEGIN_S + seconds,
    )
    setting = SimpleNamespace(
        device="cpu" if tiny else "cuda", run=time.strftime("%Y-%m-%dT%H:%M", time.gmtime()), model=None
    )
    if fresh and not tiny:
        setting.model = described(conf, "llama2_7b")
        measure_anchors(out, meter, pace, setting)
        free(tiny)
    failed = (out / FAILED).read_text().splitlines() if (out / FAILED).exists() else []
    for job in PLANS[stage]:
        if pace.over():
            break
        if str(job) in failed:
            continue
        setting.model = described(conf, job.model)
        try:
            measure(job, out, meter, pace, setting)
        except RuntimeError:
            # A failed kernel takes the whole process with it: the caller starts another, without this job.
            traceback.print_exc()
            (out / FAILED).write_text("\n".join([*failed, str(job)]))
            meter.close()
            sys.exit(3)
        free(tiny)
    if not tiny:
        with Journal(out / ANCHOR_TRIALS) as journal:
            say("idle at the end", measure_idle([meter], journal, "context_only", window_s=2.0)["power_w"])
    meter.close()
    say("finished")


def described(conf: Path, name: str) -> Any:
    """A model's description, with what it leaves out."""
    import yaml

    values = {"sliding_window_tokens": None, "trials_model": None, "experts": 0, "experts_per_token": 0}
    return SimpleNamespace(**(values | yaml.safe_load((conf / "model" / f"{name}.yaml").read_text())))


def free(tiny: bool) -> None:
    """Give back what the last model held."""
    gc.collect()
    if not tiny:
        import torch

        torch.cuda.empty_cache()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4], [Path(p) for p in sys.argv[5:]]
    )
