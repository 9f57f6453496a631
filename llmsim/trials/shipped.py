"""The measurements that llmsim ships, published and our own, in the tidy schema."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.trials.read import DTYPES, FOLDER, read
from llmsim.trials.schema import COLUMNS
from llmsim.trials.table import Trials

# Our campaigns on H200 boards, the earlier first.
H200 = ("h200_2026", "h200_one_card")
# Power limit of one A100-80GB of the DGX node, W (NVIDIA's datasheet): splitwise states power over it.
DGX_A100_TDP_W = 400.0
# Below this share of its TDP a busy A100's mean power is not credible (idle boards draw 0.15): the source's
# Llama-2-70B rows at 8,192 prompt tokens say 0.17-0.18, their neighbours 0.39-0.68.
LEAST_CREDIBLE_POWER_OF_TDP = 0.2

Columns = dict[str, NDArray[Any]]


@lru_cache(maxsize=1)
def shipped() -> Trials:
    """All shipped trials: wilkins2024, splitwise2024, h200, cpu2026 (see data/measurements/README.md)."""
    return Trials.concatenate([wilkins2024(), splitwise2024(), h200(), cpu2026()])


def wilkins2024() -> Trials:
    """KV cache off, batch 1, bf16: seven models on swing-a100, three on each of the other systems.

    Energy is that of the GPU boards; on m1-pro, where the CPU was measured too, of the SoC's GPU and CPU.
    Warm-ups, superseded and short runs are kept with their flags; `Trials.usable` leaves them out.
    """
    raw = read_columns(FOLDER / "wilkins2024.csv")
    n = len(raw["system"])
    on_m1 = raw["system"] == "m1-pro"
    # The Swing files hold watts of a few listed cores times the runtime: an estimate, so it is not read.
    cpu_measured = ~np.char.startswith(raw["system"], "swing") & (raw["quality"] != "negative_cpu_energy")
    cpu_j = np.where(cpu_measured, raw["cpu_energy_j"], np.nan)
    short = raw["quality"] == "short_generation"
    return _table(
        n,
        system=raw["system"],
        model=raw["model"],
        n_devices=raw["n_gpus"],
        precision=np.full(n, "bf16"),
        kv_cache=raw["kv_cache"],
        batch=raw["batch_size"],
        tau_in=raw["tau_in"],
        tau_out=raw["tau_out"],
        tau_out_generated=raw["tau_out_generated"],
        outcome=np.where(short, "ended_early", "completed"),
        quality=raw["quality"],
        warmup=raw["warmup"],
        method=np.full(n, "measured"),
        scope=np.where(on_m1, "soc_gpu+cpu", "gpu_boards"),
        experiment=raw["experiment"],
        repeat=raw["iteration"],
        prompt=raw["prompt_id"],
        runtime_s=raw["runtime_s"],
        energy_j=np.where(on_m1, raw["gpu_energy_j"] + cpu_j, raw["gpu_energy_j"]),
        cpu_energy_j=cpu_j,
        source=np.full(n, "wilkins2024"),
    )


def splitwise2024() -> Trials:
    """KV cache on, batches 1 to 64: Llama-2-70B and BLOOM-176B on DGX A100 (joules too) and H100."""
    raw = read_columns(FOLDER / "splitwise2024.csv")
    n = len(raw["system"])
    power = raw["mean_power_of_tdp"]
    credible = np.where(power >= LEAST_CREDIBLE_POWER_OF_TDP, power, np.nan)
    capped = np.char.endswith(raw["system"], "powercapped")
    return _table(
        n,
        system=raw["system"],
        model=raw["model"],
        n_devices=raw["n_gpus"],
        precision=np.full(n, "fp16"),
        power_cap=np.where(capped, "unstated", "none"),
        kv_cache=raw["kv_cache"],
        batch=raw["batch_size"],
        tau_in=raw["tau_in"],
        tau_out=raw["tau_out"],
        outcome=np.where(raw["quality"] == "ended_early", "ended_early", "completed"),
        quality=raw["quality"],
        # The capped rows are the uncapped ones with the prefill times 1.3, to the last digit: no measurement.
        method=np.where(capped, "estimated", "measured"),
        scope=np.full(n, "gpu_boards"),
        experiment=np.full(n, "phases"),
        repeat=raw["repeat"],
        runtime_s=raw["runtime_s"],
        energy_j=credible * DGX_A100_TDP_W * raw["n_gpus"] * raw["runtime_s"],
        prefill_s=raw["prefill_s"],
        decode_step_s=raw["decode_step_s"],
        source=np.full(n, "splitwise2024"),
    )


def h200() -> Trials:
    """Our own, a phase a row with a KV cache and whole queries without: one NVIDIA H200 a curve.

    Two boards of one name differ by more than a curve errs, so a curve is of one board. Of each model, with
    and without a KV cache apart, the board that measured most settings stays usable, the later one where two
    measured as many; `quality` of the others' rows is `other_card`.
    """
    trials = Trials.concatenate([read(FOLDER / f"{name}.csv") for name in H200])
    quality = trials["quality"].astype("<U16")
    sound = trials.is_usable()
    target = _labels(trials, ("model", "kv_cache"))
    cells = _labels(trials, ("experiment", "batch", "tau_in", "tau_out"))
    for label in np.unique(target):
        rows = sound & (target == label)
        cards = np.unique(trials["source"][rows])
        settings = [len(np.unique(cells[rows & (trials["source"] == card)])) for card in cards]
        kept = cards[len(cards) - 1 - int(np.argmax(settings[::-1]))] if len(cards) else ""
        quality[rows & (trials["source"] != kept)] = "other_card"
    return Trials({**trials.columns, "quality": quality})


def cpu2026() -> Trials:
    """Our own, times only, a phase a row, KV cache on, int4: small models on two virtual cores of a CPU."""
    return read(FOLDER / "cpu_2026.csv")


def read_columns(path: Path) -> Columns:
    """A CSV file's columns as arrays; empty numbers are NaN, empty texts ''."""
    from pyarrow import csv

    table = csv.read_csv(path)
    return {name: _array(table.column(name)) for name in table.column_names}


def _array(column: Any) -> NDArray[Any]:
    """Texts, whole numbers, truth values or, where any is missing, float64 with NaN."""
    # By Python lists: pyarrow's own conversion imports pandas, which takes ten times longer than the rows.
    values = column.to_pylist()
    return np.array(values, dtype=np.float64) if column.null_count else np.array(values)


def _table(n: int, **given: NDArray[Any]) -> Trials:
    """A table of n rows from the given columns; the others get their defaults."""
    columns: Columns = {}
    for column in COLUMNS:
        values = given.get(column.name, np.full(n, column.default))
        columns[column.name] = values.astype(DTYPES[column.kind])
    return Trials(columns)


def _labels(trials: Trials, names: tuple[str, ...]) -> NDArray[np.int64]:
    """A number for each row, equal where all the columns are, shape (n,)."""
    columns = np.stack([np.unique(trials[name], return_inverse=True)[1] for name in names])
    _, labels = np.unique(columns, axis=1, return_inverse=True)
    return np.asarray(labels, dtype=np.int64).reshape(-1)
