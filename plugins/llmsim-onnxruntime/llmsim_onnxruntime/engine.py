"""A resident graph as an engine: it serves batches for real."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from llmsim.api import Advance, InputError, OutOfMemory
from llmsim_onnxruntime.recompute import Recompute
from llmsim_onnxruntime.resident import IntArray, Resident


class OnnxRuntimeEngine:
    """Serves one batch after the other; every query gets exactly the tokens it asks for.

    Prompts of a batch are one pass, padded to the longest. A batch shrinks as its queries end: those that
    want the most tokens are its first rows, and the steps that follow are of these alone. Joules are the
    driver's meters' to count, so none are told.

    Args:
        resident: the graph.
        kv_cache: False: one query at a time, everything recomputed for each token.
        seed: of the random prompts.
    """

    def __init__(self, resident: Resident, kv_cache: bool, seed: int) -> None:
        self._resident: Resident | None = resident
        self._kv_cache = kv_cache
        self._seed = seed
        self._generated: list[list[int]] = []

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """Refuse queries that do not fit, before the first is served.

        Raises:
            InputError: with the longest query and what fits.
        """
        self._require(int((np.asarray(tau_in) + np.asarray(tau_out)).max(initial=0)))

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch and say what it took; see `llmsim.api.Engine`.

        Raises:
            InputError: the batch does not fit the memory.
        """
        longest = max(i + o for i, o in zip(tau_in, tau_out, strict=True))
        self._require(longest)
        try:
            if self._kv_cache:
                return self._together(tau_in, tau_out, longest)
            return self._one_by_one(tau_in, tau_out, longest)
        except OutOfMemory as error:
            raise InputError(f"a batch of {len(tau_in)} queries does not fit: {error}") from error

    def generated(self) -> list[list[int]]:
        """Tokens of the last batch, a list a query."""
        return self._generated

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        self._resident = None

    def _together(self, tau_in: Sequence[int], tau_out: Sequence[int], longest: int) -> Advance:
        resident = self._open()
        order = sorted(range(len(tau_in)), key=lambda query: -tau_out[query])
        prompts = self._prompts(tau_in)
        resident.hold(len(order), longest, max(tau_in))
        prefill = resident.prefill([prompts[query] for query in order])
        left = [sum(1 for wanted in tau_out if wanted > done) for done in range(1, max(tau_out))]
        for rows in set(left):
            resident.step(rows)  # made before the clock runs
        begin_s = time.perf_counter()
        prefill()
        first_s = time.perf_counter()
        seen = [resident.tokens[:, 0].copy()]
        for rows in left:
            resident.step(rows)()
            seen.append(resident.tokens[:, 0].copy())
        end_s = time.perf_counter()
        columns = np.stack(seen, axis=1).tolist()
        by_query = dict(zip(order, columns, strict=False))
        self._generated = [by_query[query][:wanted] for query, wanted in enumerate(tau_out)]
        return Advance(end_s - begin_s, first_s - begin_s, None)

    def _one_by_one(self, tau_in: Sequence[int], tau_out: Sequence[int], longest: int) -> Advance:
        recompute = Recompute(self._open())
        recompute.arrange(longest)
        self._generated = []
        prompts = self._prompts(tau_in)
        begin_s = time.perf_counter()
        first_s: float | None = None
        for prompt, wanted in zip(prompts, tau_out, strict=True):
            tokens = recompute.generate(prompt, 1)
            first_s = time.perf_counter() if first_s is None else first_s
            tokens += recompute.generate(np.append(prompt, tokens), wanted - 1)
            self._generated.append(tokens)
        end_s = time.perf_counter()
        return Advance(end_s - begin_s, (first_s or end_s) - begin_s, None)

    def _prompts(self, tau_in: Sequence[int]) -> list[IntArray]:
        """Random prompts; the same batch has the same ones."""
        rng = np.random.default_rng(self._seed)
        vocabulary = self._open().dimensions.vocab_size
        return [rng.integers(vocabulary, size=tokens) for tokens in tau_in]

    def _require(self, longest: int) -> None:
        most = self._open().dimensions.max_tokens
        if longest > most:
            raise InputError(f"a query of {longest} tokens, prompt and answer; this engine holds {most}.")

    def _open(self) -> Resident:
        if self._resident is None:
            raise InputError("this engine is closed: open another.")
        return self._resident
