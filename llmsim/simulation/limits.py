"""What an instance may hold at once, and the order in which it takes work up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmsim.fleet.memory import BLOCK_TOKENS

# More blocks than any memory has: an instance that memory does not limit.
UNLIMITED_BLOCKS = 1 << 62


@dataclass(frozen=True)
class Limits:
    """The settings of one instance.

    Attributes:
        max_batch: most queries in the batch.
        kv_blocks: blocks of 16 tokens that the KV memory holds.
        kv: `reserve` sets blocks aside for prompt and predicted answer at admission; `grow` for the prompt
            only, and the rest is taken as it comes.
        window_tokens: sliding attention window, beyond which keys and values are dropped; None: full.
        prefill_after_s: how long running queries may keep a waiting one from being prefilled. 0 is prefill
            first; infinity is decode first, where prompts enter an empty batch only; a time between is decode
            first with a bound on the wait.
        chunk_tokens: most prompt tokens prefilled in one step, beside the decoding queries; None: prompts are
            prefilled whole, in steps of their own.
    """

    max_batch: int
    kv_blocks: int = UNLIMITED_BLOCKS
    kv: str = "reserve"
    window_tokens: int | None = None
    prefill_after_s: float = 0.0
    chunk_tokens: int | None = None

    @property
    def window_blocks(self) -> int:
        """Most blocks that one query holds."""
        return (
            UNLIMITED_BLOCKS if self.window_tokens is None else math.ceil(self.window_tokens / BLOCK_TOKENS)
        )
