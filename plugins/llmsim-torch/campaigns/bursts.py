"""Phases among each other: passes over prompts amid decode steps, as a serving engine runs them.

    python bursts.py OUT [--seconds SECONDS] [--model NAME] [--conf FOLDER] [--tiny]

`h200_bursts.jsonl.gz` is its journal of Llama-2 7B on one H200 (card c38f830b): why curves have a
headroom (`llmsim/curves/headroom.py`). --tiny: on the CPU, with a made-up meter and a toy model.

A pass repeated on end runs at the board's power limit, at lower clocks. Amid steps, which
draw less, it may not. Two kinds of entries tell:

- `burst`: passes on end, right after a second of something else (idle, or steps of some batch), each timed by
  the device: how long a pass takes at first, and how soon the limit slows it.
- `mixture`: one pass and so many steps, over and over in a metered window: seconds of the passes and of the
  steps, each by the device, and the joules of both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What comes before the passes of a burst, and how long those go on, s.
BEFORE_S, BURST_S = 1.2, 1.0
# A mixture is run so long before its window opens, and in the window, s.
SETTLE_S, WINDOW_S = 0.9, 1.1
SEED = 20260102
RESET_STEPS = 100


@dataclass(frozen=True)
class Burst:
    """Passes over so many tokens, after idling (batch 0) or after steps of a batch at some context."""

    tokens: int
    prompts: int
    batch: int
    context: int = 500

    @property
    def steps(self) -> int:
        """Steps before contexts are set back."""
        return RESET_STEPS


@dataclass(frozen=True)
class Mixture:
    """One pass over prompts, then so many steps of a batch whose queries hold so much context."""

    tokens: int
    prompts: int
    batch: int
    context: int
    steps: int


BURSTS = (Burst(250, 1, 0), Burst(1000, 1, 0), Burst(1000, 1, 32), Burst(4000, 1, 0), Burst(1000, 16, 32))
MIXTURES = (
    Mixture(1000, 1, 8, 900, 6), Mixture(1000, 1, 8, 900, 24), Mixture(1000, 1, 24, 900, 2),
    Mixture(1000, 1, 24, 900, 8), Mixture(250, 1, 24, 900, 3), Mixture(250, 1, 8, 900, 8),
    Mixture(3000, 1, 24, 900, 12), Mixture(1000, 4, 24, 900, 24), Mixture(1000, 16, 32, 1000, 120),
)  # fmt: skip
TINY_BURSTS = (Burst(16, 1, 0, 8), Burst(16, 1, 2, 8))
TINY_MIXTURES = (Mixture(16, 1, 2, 8, 2),)


def pool_for(asked: Sequence[Burst | Mixture]) -> int:
    """Tokens of a cache that all of them fit."""
    return max(
        (each.batch + each.prompts) * (-(-max(each.tokens, each.context + each.steps + 1) // 32) * 32 + 32)
        for each in asked
    )


class Stopwatch:
    """Marks on the device's own clock, or the host's where there is none."""

    def __init__(self, device: Any) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        """An instant between what was launched and what will be."""
        if not self._cuda:
            self._marks.append(time.perf_counter())
            return
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def wait(self, behind: int = 1) -> None:
        """Until all but so many of the latest marks are passed."""
        if self._cuda and len(self._marks) > behind:
            self._marks[-1 - behind].synchronize()

    def seconds(self) -> list[float]:
        """Between each mark and the next; waits for all."""
        if not self._cuda:
            return [b - a for a, b in zip(self._marks, self._marks[1:], strict=False)]
        self._marks[-1].synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in zip(self._marks, self._marks[1:], strict=False)]


def _prepared(resident: Any, tokens: int, prompts: int, batch: int, context: int) -> tuple[Any, Any]:
    """What runs a pass into places of its own, and a step of the others; each callable."""
    import torch

    resident.arrange(batch + prompts)
    generator = torch.Generator().manual_seed(SEED)
    vocabulary = resident.decoder.weights.embedding.shape[0]
    texts = list(torch.randint(vocabulary, (prompts, tokens), generator=generator))
    run = resident.prefill(list(range(batch, batch + prompts)), texts)
    step = resident.step(list(range(batch))) if batch else None
    resident.lengths.fill_(context)
    return run, step


def burst(resident: Any, asked: Burst, before_s: float = BEFORE_S, lasting_s: float = BURST_S) -> list[float]:
    """Seconds of each pass, in order, right after what comes before."""
    import torch

    run, step = _prepared(resident, asked.tokens, asked.prompts, asked.batch, asked.context)
    run()  # what the first run sets up
    watch = Stopwatch(resident.device)
    if step is None:
        if resident.device.type == "cuda":
            torch.cuda.synchronize()
        time.sleep(before_s)
    else:
        _repeated(step, lambda: resident.lengths.fill_(asked.context), before_s, resident.device)
    begin_s = time.perf_counter()
    watch.mark()
    while time.perf_counter() - begin_s < lasting_s:
        run()
        watch.mark()
        watch.wait()
    return watch.seconds()


def _repeated(step: Callable[[], None], reset: Callable[[], Any], seconds: float, device: Any) -> None:
    """Steps for so long; contexts are set back now and then."""
    watch, begin_s, count = Stopwatch(device), time.perf_counter(), 0
    while time.perf_counter() - begin_s < seconds:
        if count % RESET_STEPS == 0:
            reset()
        step()
        count += 1
        watch.mark()
        watch.wait(2)


def mixture(resident: Any, asked: Mixture, meter: Any, window_s: float = WINDOW_S) -> dict[str, Any]:
    """Seconds of each pass and of each stretch of steps in a window, and the joules of all.

    `rounds` counts them; `between_s` is what passes in setting lengths back, with the device at work for none
    of it that matters.
    """
    import torch

    run, step = _prepared(resident, asked.tokens, asked.prompts, asked.batch, asked.context)

    def once(watch: Stopwatch) -> None:
        resident.lengths.fill_(asked.context)
        watch.mark()
        run()
        watch.mark()
        for _ in range(asked.steps):
            step()
        watch.mark()
        watch.wait(3)

    settling = Stopwatch(resident.device)
    begin_s = time.perf_counter()
    while time.perf_counter() - begin_s < SETTLE_S:
        once(settling)
    if resident.device.type == "cuda":
        torch.cuda.synchronize()
    watch = Stopwatch(resident.device)
    meter.start()
    begin_s, rounds = time.perf_counter(), 0
    while time.perf_counter() - begin_s < window_s:
        once(watch)
        rounds += 1
    seconds = watch.seconds()
    readings = meter.stop()
    return {
        "rounds": rounds,
        "passes_s": seconds[0::3],
        "steps_s": seconds[1::3],
        "between_s": seconds[2::3],
        "window_s": time.perf_counter() - begin_s,
        "energy_j": [reading.energy_j for reading in readings],
        "readings": [vars(reading) for reading in readings],
    }


def probe(
    resident: Any,
    model: str,
    meter: Any,
    append: Callable[[dict[str, Any]], None],
    say: Callable[..., None],
    left_s: Callable[[], float],
    bursts: Sequence[Burst] = BURSTS,
    mixtures: Sequence[Mixture] = MIXTURES,
    done: Sequence[dict[str, Any]] = (),
) -> None:
    """Every burst and mixture of a model that is not done yet, while there is time.

    Args:
        resident: the model, with a cache of `pool_for` what is asked.
        append: keeps an entry.
        left_s: seconds that are left.
        done: entries that were kept before.
    """
    known = [(entry["kind"], entry["model"], entry["asked"]) for entry in done if "asked" in entry]
    for asked in mixtures:
        if ("mixture", model, vars(asked)) in known or left_s() < 5:
            continue
        found = mixture(resident, asked, meter)
        append({"kind": "mixture", "model": model, "asked": vars(asked), **found, "at_unix_s": time.time()})
        passes, steps = found["passes_s"], found["steps_s"]
        say(
            f"{model} {asked}: pass {1e3 * sum(passes) / len(passes):.2f} ms, step "
            f"{1e3 * sum(steps) / len(steps) / max(asked.steps, 1):.3f} ms, "
            f"{sum(j or 0 for j in found['energy_j']) / found['window_s']:.0f} W, {found['rounds']} rounds"
        )
    for each in bursts:
        if ("burst", model, vars(each)) in known or left_s() < 5:
            continue
        series = burst(resident, each)
        append({"kind": "burst", "model": model, "asked": vars(each), "passes_s": series})
        shown = ", ".join(f"{1e3 * x:.2f}" for x in series[:6])
        say(f"{model} {each}: ms {shown} ... {1e3 * series[-1]:.2f} ({len(series)} passes)")


def loaded(model: Any, device: Any, pool_tokens: int) -> Any:
    """A model in memory with random weights, and a cache of so many tokens."""
    import torch

    from llmsim_torch.decoder import Decoder
    from llmsim_torch.ops import Heads, TorchOps
    from llmsim_torch.resident import Resident
    from llmsim_torch.weights import random_model, weights_of

    ops = TorchOps()
    if device.type == "cuda":
        from llmsim_torch.triton_ops import TritonOps

        ops = TritonOps()
    weights = weights_of(random_model(model, device, torch.bfloat16, seed=0))
    heads = Heads(model.num_attention_heads, model.num_key_value_heads, model.head_dim)
    decoder = Decoder(weights, heads, model.sliding_window_tokens, model.context_tokens, ops)
    return Resident(decoder, pool_tokens)


def main() -> None:
    """Measure everything of one model, an entry a line."""
    import torch
    from h200_one_card import made_up_meter
    from running import described

    from llmsim.measurement.nvml import NvmlMeter

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--model", default="llama2_7b")
    parser.add_argument("--conf", type=Path, default=Path("conf"))
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    until_s = time.perf_counter() + args.seconds
    bursts, mixtures = (TINY_BURSTS, TINY_MIXTURES) if args.tiny else (BURSTS, MIXTURES)
    model = described(args, "tiny" if args.tiny else args.model)
    meter = made_up_meter() if args.tiny else NvmlMeter()
    device = torch.device("cpu" if args.tiny else "cuda")
    resident = loaded(model, device, pool_for([*bursts, *mixtures]))
    with args.out.open("a", encoding="utf-8") as file:

        def append(entry: dict[str, Any]) -> None:
            file.write(json.dumps(entry) + "\n")
            file.flush()

        append({"kind": "meter", "meters": meter.describe()})
        probe(
            resident, model.name, meter, append, print,
            lambda: until_s - time.perf_counter(), bursts, mixtures,
        )  # fmt: skip
    meter.close()


if __name__ == "__main__":
    main()
