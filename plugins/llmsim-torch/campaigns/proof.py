"""What the campaign shows beside its trials: copy bandwidth, the cost of metering, the roofline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmsim.measurement.cell import Cell
from llmsim.measurement.nvml import NvmlMeter
from llmsim.measurement.stopping import half_width_pct

COPY_BYTES = 4 << 30
COPIES, COPY_REPEATS = 10, 7
METERING_PAIRS, METERING_WINDOW_S = 6, 0.5


def copy_bandwidth(device: str) -> dict[str, Any]:
    """Bytes read and written a second by copies from device memory to device memory, B/s."""
    import torch

    count = COPY_BYTES if device == "cuda" else 1 << 24
    source = torch.empty(count // 2, dtype=torch.bfloat16, device=device).normal_()
    target = torch.empty_like(source)
    rates = [_copied(source, target, count) for _ in range(COPY_REPEATS)][1:]
    return {
        "kind": "copy_bandwidth",
        "bytes": count,
        "rates_b_s": rates,
        "median_b_s": float(np.median(rates)),
    }


def _copied(source: Any, target: Any, count: int) -> float:
    import time

    import torch

    if source.device.type == "cpu":
        begin = time.perf_counter()
        target.copy_(source)
        return 2 * count / (time.perf_counter() - begin)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(COPIES):
        target.copy_(source)
    last.record()
    torch.cuda.synchronize()
    return 2 * count * COPIES / (first.elapsed_time(last) / 1000)


def metering_cost(bench: Any, cells: Sequence[Cell], meter: NvmlMeter) -> list[dict[str, Any]]:
    """How much longer the same work takes while the meter reads: fractions with their 95 % intervals.

    Windows alternate, and which comes first alternates too, so that a drift is in both.
    """
    found = []
    for cell in cells:
        exercise = bench.prepare(cell)
        exercise.run(METERING_WINDOW_S)
        read, unread = [], []
        for pair in range(METERING_PAIRS):
            for metered in (True, False) if pair % 2 else (False, True):
                (read if metered else unread).append(_window(exercise, meter, metered))
        ratios = [a / b - 1 for a, b in zip(read, unread, strict=True)]
        mean = float(np.mean(ratios))
        half_width = half_width_pct([1 + ratio for ratio in ratios]) / 100 * (1 + mean)
        found.append(
            {
                "kind": "metering_cost",
                "cell": vars(cell),
                "with_meter_s": read,
                "without_meter_s": unread,
                "fraction": mean,
                "fraction_half_width": half_width,
            }
        )
    return found


def _window(exercise: Any, meter: NvmlMeter, metered: bool) -> float:
    if metered:
        meter.start()
        passes = exercise.run(METERING_WINDOW_S)
        meter.stop()
    else:
        with meter.resting():
            passes = exercise.run(METERING_WINDOW_S)
    return float(passes.seconds / passes.count)


def table(entries: Sequence[Mapping[str, Any]], model: Any, step_bytes: int, copy_b_s: float) -> list[str]:
    """A line a cell: means, intervals and, for decode of dense models, the distance from the roofline."""
    by_cell: dict[Cell, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_cell.setdefault(Cell(**entry["cell"]), []).append(entry)
    return [_line(cell, trials, model, step_bytes, copy_b_s) for cell, trials in sorted(by_cell.items())]


def _line(
    cell: Cell, trials: Sequence[Mapping[str, Any]], model: Any, step_bytes: int, copy_b_s: float
) -> str:
    good = [trial for trial in trials if trial["outcome"] == "completed"]
    name = f"  {cell.experiment:10s} b={cell.batch:<4d} in={cell.tau_in:<5d} out={cell.tau_out:<4d}"
    name += " check" if trials[0].get("mark") == "check" else "      "
    if not good:
        return f"{name} {trials[0]['outcome']} {trials[0]['warnings']}"
    seconds = [trial["runtime_s"] for trial in good]
    joules = [trial["energy_j"] for trial in good if trial["energy_j"] is not None]
    mean_s, mean_j = float(np.mean(seconds)), float(np.mean(joules)) if joules else float("nan")
    ratio = ""
    if cell.experiment == "decode" and not model.experts:
        steps = cell.tau_out - 1
        kv = cell.batch * (cell.tau_in + cell.tau_out / 2) * model.kv_bytes_per_token
        ratio = f"{mean_s / steps * 1e3:8.3f} ms/step x{mean_s / steps * copy_b_s / (step_bytes + kv):.3f}"
    throttled = {
        reading["conditions"].get("throttled", "") for trial in good for reading in trial["readings"]
    }
    return (
        f"{name} n={len(good):<2d} {mean_s:9.5f} s +-{half_width_pct(seconds):5.2f}% {mean_j:9.3f} J "
        f"+-{half_width_pct(joules):5.2f}% {mean_j / mean_s:6.1f} W {ratio} "
        f"{'+'.join(sorted(throttled)).strip('+')}"
    )


def offsets(entries: Sequence[Mapping[str, Any]], source: str) -> list[str]:
    """How far each set of anchors is from the first one, time and energy, a line a cell."""
    sets: dict[str, dict[Cell, list[tuple[float, float]]]] = {}
    for entry in entries:
        name = entry.get("subject", {}).get("source", "")
        if name.startswith(source) and entry.get("outcome") == "completed" and entry["energy_j"] is not None:
            by_cell = sets.setdefault(name, {})
            by_cell.setdefault(Cell(**entry["cell"]), []).append((entry["runtime_s"], entry["energy_j"]))
    if not sets:
        return ["no anchors"]
    names = sorted(sets)
    lines = [f"anchors against '{names[0]}':"]
    for name in names[1:]:
        for cell in sorted(set(sets[name]) & set(sets[names[0]])):
            here, there = (np.mean(sets[key][cell], axis=0) for key in (name, names[0]))
            off = (here / there - 1) * 100
            lines.append(
                f"  {name}: {cell.experiment} {cell.batch} x {cell.tau_in}: time {off[0]:+.2f} %, "
                f"energy {off[1]:+.2f} %"
            )
    return lines
