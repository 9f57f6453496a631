"""Fit every shipped trial and print how good each curve is: one JSON line a system, model, target and form.

python tests/benchmarks/curves.py            # the lines; a summary on the error output
python tests/benchmarks/curves.py FILE       # of your own trials
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from llmsim import trials
from llmsim.curves import library, store
from llmsim.curves.scores import scores

ROUNDED = 4  # digits after the point


def rounded(value: Any) -> Any:
    """The record with its floats cut to what they can mean."""
    if isinstance(value, float):
        return round(value, ROUNDED)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def mean(records: list[dict[str, Any]], key: str) -> float:
    """The mean of one figure over records."""
    return float(np.mean([record[key] for record in records]))


def summary(records: list[dict[str, Any]]) -> list[str]:
    """The figures that the curves are held to."""
    lines = []
    grid = [r for r in records if r["system"] == "swing-a100" and r["chosen"]]
    for target in ("energy", "runtime"):
        of = [r for r in grid if r["target"] == target]
        if not of:
            continue
        shift = {e: np.mean([r["transfer"][e] for r in of]) for e in ("input", "output")}
        lines.append(
            f"swing-a100 {target}: left-out {mean(of, 'loco_mape_pct'):.2f} % (worst "
            f"{max(r['loco_mape_pct'] for r in of):.2f} %), R2 at least {min(r['loco_r2'] for r in of):.4f}, "
            f"input {shift['input']:.2f} %, output {shift['output']:.2f} %"
        )
    lines += phases_of([r for r in records if r["system"] == "h200" and r["kv_cache"]])
    chosen = [r for r in records if r["chosen"]]
    covered = sum(r["n"] * r["interval_coverage_pct"] for r in chosen) / sum(r["n"] for r in chosen)
    least, most = (f(r["interval_coverage_pct"] for r in chosen) for f in (min, max))
    widest = max(r["interval_half_width_pct"] / r["loco_mape_pct"] for r in chosen)
    negative = sum(r["negative_predictions"] for r in chosen)
    lines.append(
        f"intervals cover {covered:.1f} % ({least:.0f} to {most:.0f} %), at most {widest:.2f} x MAPE wide"
    )
    lines.append(f"negative predictions of the chosen forms: {negative}")
    return lines


def phases_of(records: list[dict[str, Any]]) -> list[str]:
    """Left-out error of each phase of each model, with that on the settings measured to check it."""
    lines = []
    for target in dict.fromkeys(record["target"] for record in records):
        of = [record for record in records if record["target"] == target]
        errors = [
            f"{r['model']} {r['loco_mape_pct']:.2f}"
            + (f" ({r['transfer']['check']:.2f})" if r["transfer"] else "")
            for r in of
        ]
        worst = max(record["loco_mape_pct"] for record in of)
        lines.append(f"h200 {target}, left-out % (check %): {', '.join(errors)}; worst {worst:.2f} %")
    return lines


def speeds(table: trials.Trials) -> list[str]:
    """Seconds to load a curve and to predict a million queries with it; the best of five."""
    curve = library.fit(table, system="swing-a100", model="llama2-7b")
    tau_in, tau_out = np.random.default_rng(0).integers(1, 8192, (2, 1_000_000))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curve.yaml"
        store.save(curve, path)
        loads, predictions = [], []
        for _ in range(5):
            start = time.perf_counter()
            loaded = store.load(path)
            loads.append(time.perf_counter() - start)
            start = time.perf_counter()
            loaded.curve.cost(tau_in, tau_out)
            predictions.append(time.perf_counter() - start)
    return [f"loading a curve: {1000 * min(loads):.1f} ms; a million queries: {min(predictions):.2f} s"]


def main() -> None:
    """Print the lines."""
    own = len(sys.argv) > 1
    table = trials.read(Path(sys.argv[1])) if own else trials.shipped()
    import lmfit  # noqa: F401  # its import is not the fit

    start = time.perf_counter()
    records = []
    for record in scores(table):
        records.append(record)
        print(json.dumps(rounded(record)), flush=True)
    print(f"fitted and validated in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    for line in summary(records) + ([] if own else speeds(table)):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
