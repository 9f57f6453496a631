"""Generation without a KV cache: every token is a pass over all tokens before it."""

from __future__ import annotations

import numpy as np

from llmsim_onnxruntime.resident import IntArray, Resident


class Recompute:
    """One query at a time. What a pass writes into the cache, no later one reads.

    Args:
        resident: the graph; its cache is this generation's from now on.
    """

    def __init__(self, resident: Resident) -> None:
        self._resident = resident

    def arrange(self, tokens: int) -> None:
        """Make room for a query of so many tokens.

        Raises:
            OutOfMemory: it does not fit.
        """
        self._resident.hold(1, tokens, new=tokens)

    def generate(self, prompt: IntArray, tau_out: int) -> list[int]:
        """Exactly tau_out tokens after a prompt of shape (tau_in,)."""
        ids = np.concatenate([prompt, np.zeros(tau_out, dtype=np.int64)])
        for place in range(len(prompt), len(ids)):
            self._resident.prefill([ids[:place]])()
            ids[place] = self._resident.tokens[0, 0]
        found: list[int] = ids[len(prompt) :].tolist()
        return found
