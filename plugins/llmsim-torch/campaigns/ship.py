"""Runs of a campaign as comparisons that llmsim ships: `llmsim/data/fidelity/`, see its README.

    python ship.py RUNS CAMPAIGN NAME [NAME ...] [--to FOLDER] [--prefix h200_]

RUNS is `runs.tar.gz` or the folder that it was unpacked to, CAMPAIGN the campaign's journal. Each run becomes
<prefix><name>.jsonl.gz and .yaml; all share one table of the card's trials, <prefix>trials_<card>.csv. What
the energy of a run repeats to is told by the runs `again_*`, where there are any.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from compare import Done, done, unpacked
from scipy.stats import t

import llmsim

ROOT = Path(llmsim.__file__).resolve().parent / "data" / "fidelity"
# Largest gaps that are aimed at, per cent.
STATIC = {"energy_active_j": 3, "makespan_s": 4}
CONTINUOUS = {"energy_active_j": 4, "tpot_s.mean": 4, "ttft_s.mean": 8, "latency_s.p99": 8}
HYBRID = {"makespan_s": 4, "ttft_s.mean": 8, "latency_s.p99": 8}
TARGETS = {"static": STATIC, "continuous": CONTINUOUS, "wall": CONTINUOUS, "hybrid": HYBRID}
AGAIN = "again_"
LEVEL = 0.95


def entries_of(path: Path) -> list[dict[str, Any]]:
    """Entries of a journal."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def joules(run: Done) -> dict[str, float]:
    """Active energy of each policy of a run that has all of it, by the policy's name without its settings."""
    found: dict[str, float] = defaultdict(float)
    for entry in entries_of(run.journal):
        if entry["kind"] == "joules" and "broken off" not in entry["run"]:
            found[entry["run"].split(" (")[0].split(", seed")[0]] += entry["energy_j"] or math.nan
    return {name: total for name, total in found.items() if math.isfinite(total)}


def interval_of(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, str | None]:
    """Half-width of one measured energy from runs that were made twice, per cent, and how it was had."""
    if not pairs:
        return None, None
    differences = [200 * (one - other) / (one + other) for one, other in pairs]
    deviation = math.sqrt(sum(each**2 for each in differences) / (2 * len(differences)))
    said = ", ".join(f"{each:+.2f}" for each in differences)
    source = f"{len(pairs)} policies run twice on the card, {said} % apart; {LEVEL:.0%} interval of one run"
    return round(float(t.ppf((1 + LEVEL) / 2, len(pairs))) * deviation, 3), source


def versions(campaign: Sequence[Mapping[str, Any]]) -> str:
    """Of what measured the campaign's cells, as their trials say."""
    seen = {
        f"{key} {entry['conditions'][key]}"
        for entry in campaign
        if entry["kind"] == "trial"
        for key in ("torch", "transformers")
        if key in entry["conditions"]
    }
    return ", ".join(sorted(seen))


def described(
    run: Done, campaign: Sequence[Mapping[str, Any]], card: str, interval: tuple[float | None, str | None]
) -> dict[str, Any]:
    """What `<name>.yaml` holds, but for the table of trials."""
    work = [entry for entry in entries_of(run.journal) if entry["kind"] == "work"]
    ended = [datetime.fromtimestamp(entry["ended_unix_s"], UTC) for entry in work]
    days = sorted({f"{moment:%Y-%m-%d}" for moment in ended})
    kind = next((TARGETS[key] for key in TARGETS if run.name.startswith(key)), {})
    about: dict[str, Any] = {
        "words": run.words,
        "card": card,
        "dates": " to ".join(sorted({days[0], days[-1]})),
        "provenance": (
            f"plugins/llmsim-torch/campaigns/h200_fidelity.py, run '{run.name}', {min(ended):%H:%M} to "
            f"{max(ended):%H:%M} UTC; random weights; {versions(campaign)}, llmsim {llmsim.__version__}; "
            "curves of the same card's trials."
        ),
        "targets": kind,
    }
    if interval[0] is not None:
        about |= {"energy_interval_pct": interval[0], "energy_interval_source": interval[1]}
    return about


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("campaign", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--to", type=Path, default=ROOT)
    parser.add_argument("--prefix", default="h200_")
    args = parser.parse_args()
    folder = unpacked(args.runs)
    found = {run.name: run for run in done(folder)}
    campaign = entries_of(args.campaign)
    meters = next(entry for entry in campaign if entry["kind"] == "meter")["meters"]
    card = ", ".join(f"{item['device']} {item['card']}" for item in meters)
    trials = f"{args.prefix}trials_{meters[0]['card']}.csv"
    shutil.copy(folder / "trials.csv", args.to / trials)
    for name in args.names:
        run = found[name]
        first = joules(run)
        again = [joules(other) for key, other in found.items() if key.startswith(AGAIN) and name == "static"]
        pairs = [(first[key], each[key]) for each in again for key in each if key in first]
        about = described(run, campaign, card, interval_of(pairs)) | {"trials": trials}
        with gzip.GzipFile(args.to / f"{args.prefix}{name}.jsonl.gz", "wb", mtime=0) as file:
            file.write(run.journal.read_bytes())
        text = yaml.safe_dump(about, sort_keys=False, width=110)
        (args.to / f"{args.prefix}{name}.yaml").write_text(text)
        print(name, about["dates"], about.get("energy_interval_pct"), about["targets"])


if __name__ == "__main__":
    main()
