"""What a pass and a step take by their size: which padding, and how many parts of a cache, are quick.

    python sizes.py OUT [--models NAME ...] [--conf FOLDER]

`h200_sizes.jsonl.gz` is its journal of one H200: why `llmsim_torch.padding` skips some sizes, and why
`llmsim_torch.triton_ops` divides contexts into at least four parts. On a GPU. An entry a line:

- `pass`: a captured pass over one prompt of so many tokens; products are quick at some sizes only.
- `step`: a captured step, its caches attended to in so many parts each, with contexts that are all alike and
  with contexts as a server's are, of the same mean.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOMS = (*range(16, 513, 16), *range(544, 1025, 32))
# Longer ones are not captured.
LONG = (1040, 1074, 1088, 1101, 1104, 1120, 1152, 1200, 1216, 1280, 1300, 1344, 1408, 1472, 1500, 1536)
BATCHES = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
PROGRAMS = (4, 8, 16, 32)
PLACES, EACH = 33, 2552
PASSES, STEPS = 5, 8
SEED = 20260103


def contexts(batch: int, seed: int) -> list[int]:
    """Tokens that a server's queries may hold: prompts of a chat trace, each somewhere in its answer."""
    import numpy as np

    rng = np.random.default_rng((SEED, seed))
    prompts = rng.choice([200, 390, 1010, 1250, 1536], size=batch, p=[0.2, 0.3, 0.2, 0.15, 0.15])
    return [int(count) for count in prompts + rng.integers(1, 300, size=batch)]


def timed(run: Callable[[], Any], count: int) -> list[float]:
    """Seconds of each of so many executions on end, by the device."""
    import torch

    marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks)]


def passes(resident: Any, rooms: Sequence[int], append: Callable[..., None]) -> None:
    """A pass of each size; the first of the timed ones begins on a device that rested."""
    import torch

    resident.arrange(PLACES)
    vocabulary = resident.decoder.weights.embedding.shape[0]
    for tokens in rooms:
        run = resident.prefill([0], [torch.randint(vocabulary, (tokens,))])
        run()
        torch.cuda.synchronize()
        found = timed(run, PASSES)
        append(kind="pass", tokens=tokens, seconds=found)
        resident._now.passes.clear()


def steps(resident: Any, batches: Sequence[int], append: Callable[..., None]) -> None:
    """A step of each batch and division."""
    import torch

    from llmsim_torch.triton_ops import Attending

    ops, heads = resident.decoder.ops, resident.decoder.heads.keys
    resident.arrange(PLACES)
    for batch in batches:
        seen: set[int] = set()
        for programs in PROGRAMS:
            ops.attending = Attending(programs=programs, fewest=1)
            parts = ops._splits(batch * heads, EACH, resident.device)
            if parts in seen:
                continue
            seen.add(parts)
            resident._now.steps.clear()
            run = resident.step(list(range(batch)))
            mixed = [contexts(batch, seed) for seed in range(3)]
            alike = [[round(sum(one) / batch)] * batch for one in mixed]
            result: dict[str, list[float]] = {"mixed": [], "alike": []}
            for name, given in (("mixed", mixed), ("alike", alike)):
                for lengths in given:
                    known = torch.tensor(lengths, dtype=torch.int32, device=resident.device)
                    resident.lengths[:batch] = known
                    run()
                    resident.lengths[:batch] = known
                    result[name].append(statistics.median(timed(run, STEPS)))
            append(kind="step", batch=batch, programs=programs, parts=parts, contexts=mixed, **result)
    ops.attending = Attending()


def main() -> None:
    """Everything of each model."""
    import torch
    from bursts import loaded
    from running import described, free

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["llama2_7b", "llama2_13b", "qwen2_5_1_5b"])
    parser.add_argument("--conf", type=Path, default=Path("conf"))
    args = parser.parse_args()
    with args.out.open("a", encoding="utf-8") as file:
        for name in args.models:
            begin_s = time.perf_counter()

            def append(_name: str = name, **entry: Any) -> None:
                file.write(json.dumps({"model": _name, **entry}) + "\n")
                file.flush()

            resident = loaded(described(args, name), torch.device("cuda"), PLACES * EACH)
            print(f"{name}: loaded in {time.perf_counter() - begin_s:.1f} s", flush=True)
            steps(resident, BATCHES if name == "llama2_7b" else BATCHES[2::4], append)
            print(f"{name}: steps {time.perf_counter() - begin_s:.1f} s", flush=True)
            passes(resident, ROOMS + (LONG if name == "llama2_7b" else ()), append)
            print(f"{name}: done {time.perf_counter() - begin_s:.1f} s", flush=True)
            del resident
            free("cuda")


if __name__ == "__main__":
    main()
