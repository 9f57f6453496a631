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

    Prompts of a batch are one pass, padded to the longest. Every query keeps its place until the longest
    answer ends, as with transformers' `generate`: each step is of the whole batch, and what a query gets
    beyond its own tokens is thrown away. Joules are the driver's meters' to count, so none are told.

    Args:
        resident: the graph.
        kv_cache: False: one query at a time, everything recomputed for each token.
        seed: of the random prompts.
        at_once: queries of the largest batch that will be served.
    """

    def __init__(self, resident: Resident, kv_cache: bool, seed: int, at_once: int = 1) -> None:
        self._resident: Resident | None = resident
        self._kv_cache = kv_cache
        self._at_once = at_once if kv_cache else 1
        self._seed = seed
        self._generated: list[list[int]] = []
        self._longest = (0, 0)

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """Refuse what does not fit before the first query is served: a query, or the batch that needs most.

        Raises:
            InputError: with the sizes.
        """
        prompts, answers = np.asarray(tau_in), np.asarray(tau_out)
        longest = int((prompts + answers).max(initial=0))
        self._require(longest)
        self._longest = int(prompts.max(initial=0)), longest
        if self._at_once > 1:
            self._require_room(self._at_once, int(prompts.max(initial=0)), int(answers.max(initial=0)))

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch and say what it took; see `llmsim.api.Engine`.

        Raises:
            InputError: the batch does not fit the memory.
        """
        try:
            if self._kv_cache:
                self._require_room(len(tau_in), max(tau_in), max(tau_out))
                return self._together(tau_in, tau_out)
            longest = max(i + o for i, o in zip(tau_in, tau_out, strict=True))
            self._require(longest)
            return self._one_by_one(tau_in, tau_out, longest)
        except OutOfMemory as error:
            raise InputError(f"a batch of {len(tau_in)} queries does not fit: {error}") from error

    def warm(self) -> None:
        """See `llmsim.api.WarmingEngine`: serve the longest prompt, for the first pass is slow."""
        prompt, longest = self._longest
        if prompt and self._kv_cache:
            self._open().hold(1, longest, prompt)
            self.serve([prompt], [min(2, longest - prompt)])
            self._generated = []

    def generated(self) -> list[list[int]]:
        """Tokens of the last batch, a list a query."""
        return self._generated

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        self._resident = None

    def _together(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """A batch with a cache: one pass over all prompts, then steps of the whole batch."""
        resident, batch = self._open(), len(tau_in)
        prompts = self._prompts(tau_in)
        resident.hold(batch, max(tau_in) + max(tau_out), max(tau_in))
        prefill, step = resident.prefill(prompts), resident.step(batch)  # made before the clock runs
        begin_s = time.perf_counter()
        prefill()
        first_s = time.perf_counter()
        seen = [resident.tokens[:batch, 0].copy()]
        for _ in range(max(tau_out) - 1):
            step()
            seen.append(resident.tokens[:batch, 0].copy())
        end_s = time.perf_counter()
        columns = np.stack(seen, axis=1).tolist()
        self._generated = [column[:wanted] for column, wanted in zip(columns, tau_out, strict=True)]
        return Advance(end_s - begin_s, first_s - begin_s, None)

    def _one_by_one(self, tau_in: Sequence[int], tau_out: Sequence[int], longest: int) -> Advance:
        """Queries without a cache; the first token is that of the first query."""
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
        """Raises InputError for a query of more tokens than the cache is made for."""
        most = self._open().dimensions.max_tokens
        if longest > most:
            raise InputError(
                f"a query of {longest} tokens, prompt and answer; this engine holds {most} "
                "(backend.max_tokens, and the model's context): set that higher, or cut the queries "
                "(workload.tau_in_max, workload.tau_out_max)."
            )

    def _require_room(self, batch: int, prompt: int, answer: int) -> None:
        """Raises InputError where a place is too small for a batch's longest prompt and longest answer."""
        most = self._open().dimensions.max_tokens
        if prompt + answer > most:
            raise InputError(
                f"a batch of {batch} queries takes {batch} x ({prompt} + {answer}) tokens, the longest "
                f"prompt and the longest answer in every place; a place holds {most} at most "
                "(backend.max_tokens, and the model's context): cut the queries (workload.tau_in_max, "
                "workload.tau_out_max)."
            )

    def _open(self) -> Resident:
        """The graph; raises InputError on an engine that is closed."""
        if self._resident is None:
            raise InputError("this engine is closed: open another.")
        return self._resident
