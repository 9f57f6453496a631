"""What the campaign measures: models, cells, how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from llmsim.measurement.cell import Cell
from llmsim.measurement.stopping import Stopping

SOURCE = "h200_one_card"
# A decode's execution is one step less; short ones make windows that end in time.
STEPS, ANCHOR_STEPS = 9, 17
LONGEST_TOKENS = 8192 + ANCHOR_STEPS

LEAST, MOST, INTERVAL_PCT = 5, 25, 1.0
# Trials of a cell that only checks curves.
CHECKS = 3
# The counter moves ten times a second, and a window must hold five moves. Power is steady after 0.35 s; at
# the power limit after 0.9 s (before it, energy reads 1.6 % low).
WINDOW_S, SETTLE_S, CAPPED_S = 0.53, 0.35, 0.55
PER_VISIT, PER_VISIT_OFF = 3, 5
FIRST_CHECKS = Stopping(CHECKS, CHECKS)
WHOLE = Stopping(LEAST, MOST, INTERVAL_PCT)
ANCHOR_STOPPING = Stopping(3, 3)
REPEAT_STOPPING = Stopping(5, 5)

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Settings:
    """Cells of one model.

    Attributes:
        decode: (batch, context).
        prefill: (tokens, batch).
        generation: (tau_in, tau_out), without a KV cache.
        together: (batch, tau_in, tau_out): prefill and steps in one execution, with a KV cache.
    """

    decode: Pairs = ()
    prefill: Pairs = ()
    generation: Pairs = ()
    together: tuple[tuple[int, int, int], ...] = ()

    def cells(self, limit: int) -> list[Cell]:
        """Those that fit so many tokens."""
        found = {Cell("decode", batch, min(context, limit - STEPS), STEPS) for batch, context in self.decode}
        found |= {Cell("prefill", batch, tokens, 1) for tokens, batch in self.prefill if tokens < limit}
        found |= {Cell("generation", 1, tau_in, tau_out) for tau_in, tau_out in self.generation}
        found |= {Cell("generation", *each) for each in self.together}
        return sorted(found)


@dataclass(frozen=True)
class Job:
    """A model, with or without a KV cache, and its settings in order of need.

    Attributes:
        core: curves are fitted to these.
        check: off the grid; never fitted.
        spare: fitted too; left out where time is short.
        more: fitted too; measured when all jobs are done and time is left.
    """

    model: str
    core: Settings
    check: Settings
    spare: Settings = Settings()
    more: Settings = Settings()
    kv_cache: bool = True

    def __str__(self) -> str:
        return f"{self.model}{'' if self.kv_cache else ' off'}"


# Lengths lie in the middle of their padding (16 up to 512 tokens, 32 up to 1,024), so that the mean surcharge
# of padding is in the curve.
PREFILL = (
    (1, 1), (56, 1), (104, 1), (136, 1), (200, 1), (424, 1), (592, 1), (1250, 1), (1800, 1), (3000, 1),
    (4000, 1), (6000, 1), (8000, 1), (100, 8), (1000, 4),
)  # fmt: skip
PREFILL_SPARE = ((24, 1), (296, 1), (848, 1))
PREFILL_MORE = ((8, 1), (504, 1), (2048, 1), (40, 16), (400, 4), (2000, 4))
DECODE_MORE = ((20, 300), (48, 1000), (64, 400), (96, 128), (96, 600), (128, 256))
MORE = Settings(DECODE_MORE, PREFILL_MORE)
# Every key and value head apart.
FULL = Settings(
    (
        (1, 64), (1, 2000), (1, 4000), (2, 1000), (4, 128), (8, 512), (8, 2048), (16, 64), (16, 2048),
        (32, 128), (32, 1000), (64, 64), (64, 1000), (128, 64), (128, 512),
    ),
    PREFILL,
)  # fmt: skip
FULL_SPARE = Settings(((4, 3000), (12, 1500), (24, 700)), PREFILL_SPARE)
# Key and value heads shared by groups of query heads.
SHARED = Settings(
    (
        (1, 64), (1, 2048), (1, 8000), (2, 1000), (4, 128), (8, 512), (8, 4000), (16, 64), (16, 3000),
        (32, 128), (32, 3000), (64, 64), (64, 2000), (128, 64), (128, 1500),
    ),
    PREFILL,
)  # fmt: skip
SHARED_SPARE = Settings(((4, 6000), (12, 2000), (24, 700)), PREFILL_SPARE)
# The same, for models that leave less room.
LARGE = replace(
    SHARED, decode=(*SHARED.decode[:10], (32, 2000), (64, 64), (64, 1500), (128, 64), (128, 1000))
)
# A mixture's steps read as many experts as its batch reaches: every batch is needed, and short prompts.
MIXTURE = Settings((*LARGE.decode, (12, 2000)), (*PREFILL, (8, 1)))
MIXTURE_SPARE = replace(SHARED_SPARE, decode=((4, 6000), (24, 700)))
OFF = Settings(
    generation=(
        (8, 8), (8, 64), (64, 16), (128, 64), (512, 8), (512, 64), (1500, 8), (2048, 8), (1500, 32), (8, 256),
    )
)  # fmt: skip
OFF_SPARE = Settings(generation=((128, 200), (2048, 32)))
OFF_MORE = Settings(generation=((32, 400),))
OFF_CHECK = Settings(generation=((48, 40), (900, 12)))

JOBS = (
    Job(
        "llama2_7b", FULL,
        Settings(((3, 300), (10, 1000), (40, 900), (48, 1024)), ((90, 1), (700, 1), (2500, 1))),
        FULL_SPARE, MORE,
    ),
    Job(
        "llama3_1_8b", SHARED,
        Settings(((6, 3000), (20, 2500), (56, 500), (112, 700)), ((180, 1), (1500, 1), (600, 8))),
        SHARED_SPARE, MORE,
    ),
    Job(
        "mistral_7b", SHARED,
        Settings(((3, 300), (10, 1000), (28, 200), (80, 900)), ((280, 1), (3700, 1), (300, 2))),
        SHARED_SPARE, MORE,
    ),
    Job(
        "qwen2_5_7b", SHARED,
        Settings(((6, 3000), (20, 2500), (40, 1200), (100, 200)), ((90, 1), (500, 1), (2500, 1))),
        SHARED_SPARE, MORE,
    ),
    Job(
        "llama2_13b", FULL,
        Settings(((3, 300), (10, 1000), (28, 200), (56, 500)), ((180, 1), (700, 1), (3700, 1))),
        FULL_SPARE, MORE,
    ),
    Job(
        "qwen2_5_32b", LARGE,
        Settings(((6, 3000), (20, 2500), (40, 1200), (112, 700)), ((280, 1), (1500, 1), (300, 2))),
        SHARED_SPARE, MORE,
    ),
    Job(
        "mixtral_8x7b", MIXTURE,
        Settings(((3, 300), (10, 1000), (28, 200), (80, 900)), ((90, 1), (500, 1), (2500, 1))),
        MIXTURE_SPARE, Settings(DECODE_MORE, PREFILL_MORE[1:]),
    ),
    Job("llama2_7b", OFF, OFF_CHECK, OFF_SPARE, OFF_MORE, False),
    Job("mistral_7b", OFF, OFF_CHECK, OFF_SPARE, OFF_MORE, False),
)  # fmt: skip
TINY_JOBS = (
    Job(
        "tiny", Settings(((1, 16), (4, 32)), ((1, 1), (32, 2))), Settings(((2, 24),), ((24, 1),)),
        Settings(((2, 16),)), Settings((), ((8, 1),)),
    ),
    Job("tiny", Settings(generation=((8, 8),)), Settings(generation=((16, 4),)), kv_cache=False),
)  # fmt: skip

# Measured first in every call: what they differ by is the card's drift, or another card's offset.
ANCHORS = (
    Cell("decode", 1, 1024, ANCHOR_STEPS), Cell("decode", 16, 2048, ANCHOR_STEPS),
    Cell("decode", 64, 1024, ANCHOR_STEPS), Cell("prefill", 1, 1024, 1), Cell("prefill", 1, 4000, 1),
)  # fmt: skip
TINY_ANCHORS = (Cell("decode", 1, 16, ANCHOR_STEPS), Cell("prefill", 1, 32, 1))
# Short executions, which metering would cost most, at power below the limit.
METERED = (ANCHORS[0], Cell("prefill", 1, 56, 1))


def longest(model: Any) -> int:
    """Tokens of the longest query that is measured."""
    return min(model.context_tokens, model.sliding_window_tokens or LONGEST_TOKENS, LONGEST_TOKENS)


def every_cell(model: Any, job: Job) -> list[Cell]:
    """All cells of a job."""
    parts = (job.core, job.check, job.spare, job.more)
    return [cell for part in parts for cell in part.cells(longest(model))]


def pool_for(cells: Sequence[Cell]) -> int:
    """Tokens of a cache that every cell fits."""
    return max((cell.batch * -(-cell.tokens // 16) * 16 for cell in cells), default=2048)


# Rough rates of a 700 W H200, for dividing time only: FLOP/s, bytes/s; and seconds that things take.
FLOPS, BYTES = 5.5e14, 3.6e12
VISIT_S, LOAD_S, CAPTURE_S, PRODUCTIVE_S = 0.12, 6.0, 0.7, 20.0


def pass_s(model: Any, cell: Cell, kv_cache: bool = True) -> float:
    """About how long one execution takes, s."""
    work, read = 2 * model.active_param_count / FLOPS, 2 * model.param_count / BYTES
    if cell.experiment == "prefill":
        return max(read, work * cell.batch * cell.tau_in)
    if cell.experiment == "generation" and kv_cache:
        parts = (Cell(part, cell.batch, cell.tau_in, cell.tau_out) for part in ("prefill", "decode"))
        return sum(pass_s(model, part) for part in parts)
    if cell.experiment == "decode":
        kv = cell.batch * cell.tau_in * model.kv_bytes_per_token / BYTES
        return (cell.tau_out - 1) * max(read + kv, work * cell.batch)
    return sum(max(read, work * tokens) for tokens in range(cell.tau_in, cell.tokens))


def cell_s(model: Any, cell: Cell, missing: int, per_visit: int, kv_cache: bool = True) -> float:
    """About how long so many trials of a cell take, s."""
    if missing <= 0:
        return 0.0
    once = pass_s(model, cell, kv_cache)
    settle = SETTLE_S + (0.0 if cell.experiment == "decode" and cell.batch < 64 else CAPPED_S)
    visits = -(-missing // per_visit)
    windows = missing * max(WINDOW_S + once, once)
    return windows + visits * (VISIT_S + once + max(settle - once, 0.0)) + CAPTURE_S


def tiny_model() -> SimpleNamespace:
    """A model of toy size, to try the script with."""
    return SimpleNamespace(
        name="tiny", family="llama", hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=96, context_tokens=256,
        tied_embeddings=False, sliding_window_tokens=None, experts=0, experts_per_token=0,
        kv_bytes_per_token=256, param_count=100_000, active_param_count=100_000, trials_model=None,
    )  # fmt: skip
