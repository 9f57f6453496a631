"""A graph in memory, ready to serve: its cache, and what runs its passes without copying it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from llmsim_onnxruntime.memory import available_bytes, require
from llmsim_onnxruntime.session import failed_allocations

# Spread of random keys and values; that of a product of normalised rows with random weights.
CACHE_STD = 1.28
# Values that are drawn; a cache repeats them.
DRAWN = 1 << 20

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Dimensions:
    """Of a graph.

    Attributes:
        layers, heads, head_dim: of its cache; heads are those of keys.
        query_heads, hidden_size, intermediate_size, vocab_size: of its passes.
        max_tokens: of the longest query, prompt and answer.
        every_logit: the graph gives logits of all tokens, not of the last ones only.
        dtype: of its cache.
    """

    layers: int
    heads: int
    head_dim: int
    query_heads: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    max_tokens: int
    every_logit: bool = False
    dtype: type[np.floating[Any]] = np.float32

    def cache_bytes(self, rows: int, tokens: int) -> int:
        """Bytes of the keys and values of so many rows."""
        return 2 * self.layers * rows * self.heads * tokens * self.head_dim * np.dtype(self.dtype).itemsize

    def pass_bytes(self, rows: int, new: int, tokens: int) -> int:
        """About how many bytes a pass over new tokens of each row holds besides."""
        # Attention in fp32 goes by tiles (ONNX Runtime 1.32); otherwise all its scores may be held at once.
        scores = 0 if self.dtype is np.float32 else rows * self.query_heads * new * tokens
        each = 6 * max(self.hidden_size, self.query_heads * self.head_dim) + 3 * self.intermediate_size
        logits = rows * (new if self.every_logit else 1) * self.vocab_size
        return 4 * (scores + rows * new * each + logits)


class Resident:
    """A graph with its cache, and the state of each row of a batch.

    Past and present keys and values are one buffer, so that a pass writes the new ones where they belong and
    copies none. Rows are told apart by their lengths; the first so many of them can go on without the others.

    Args:
        session: of a graph with the inputs and outputs of `graph`.
        dimensions: of the graph.
        seed: of the cache's first contents.
    """

    def __init__(self, session: Any, dimensions: Dimensions, seed: int) -> None:
        self.dimensions = dimensions
        self.rows = self.capacity = 0
        self.lengths = np.zeros(0, dtype=np.int32)
        self.tokens: IntArray = np.zeros((0, 1), dtype=np.int64)
        self._session = session
        self._drawn = np.random.default_rng(seed).standard_normal(DRAWN, dtype=np.float32) * CACHE_STD
        self._caches: dict[str, NDArray[Any]] = {}
        self._steps: dict[int, Callable[[], None]] = {}
        self._held_bytes = 0

    def hold(self, rows: int, tokens: int, new: int) -> None:
        """As `arrange`, and the cache stays as it is where it is large enough."""
        if self.rows < rows or self.capacity < tokens:
            self.arrange(rows, tokens, new)
        else:
            self._require(0, rows, tokens, new)

    def arrange(self, rows: int, tokens: int, new: int = 1) -> None:
        """Make a cache for so many rows of so many tokens; what the old one held is lost.

        Args:
            new: tokens of each row in the longest pass to come.

        Raises:
            OutOfMemory: it does not fit, or the pass does not.
        """
        self._caches.clear()
        self._steps.clear()
        self.rows = self.capacity = 0
        dimensions = self.dimensions
        self._require(dimensions.cache_bytes(rows, tokens), rows, tokens, new)
        shape = (rows, dimensions.heads, tokens, dimensions.head_dim)
        with failed_allocations():
            for number in range(dimensions.layers):
                for what in ("key", "value"):
                    self._caches[f"{number}.{what}"] = self._filled(shape)
        self.rows, self.capacity = rows, tokens
        self.lengths = np.zeros(rows, dtype=np.int32)
        self.tokens = np.zeros((rows, 1), dtype=np.int64)

    def prefill(self, prompts: Sequence[IntArray]) -> Callable[[], None]:
        """What runs one pass over prompts from their first token, the n-th into row n.

        Prompts of different lengths are padded to the longest.
        """
        rows, new = len(prompts), max(len(prompt) for prompt in prompts)
        counts = np.array([len(prompt) for prompt in prompts], dtype=np.int32)
        ids = np.zeros((rows, new), dtype=np.int64)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = prompt
        last = np.arange(rows, dtype=np.int64) * new + counts - 1
        binding = self._bound(ids, counts - 1, np.array(new, dtype=np.int32), last)

        def run() -> None:
            """The pass; its rows' lengths are then those of the prompts."""
            with failed_allocations():
                self._session.run_with_iobinding(binding)
            self.lengths[:rows] = counts

        return run

    def step(self, rows: int) -> Callable[[], None]:
        """What runs one step of the first so many rows: the token of each goes in, and the next comes out."""
        if rows not in self._steps:
            total = np.zeros((), dtype=np.int32)
            lengths = self.lengths[:rows]
            binding = self._bound(self.tokens[:rows], lengths, total, np.arange(rows, dtype=np.int64))

            def run() -> None:
                """The step; each row is a token longer afterwards."""
                total[...] = lengths.max() + 1
                with failed_allocations():
                    self._session.run_with_iobinding(binding)
                np.add(lengths, 1, out=lengths)

            self._steps[rows] = run
        return self._steps[rows]

    def _require(self, cache_bytes: int, rows: int, tokens: int, new: int) -> None:
        """Raises OutOfMemory where a cache and a pass do not fit."""
        working = self.dimensions.pass_bytes(rows, new, tokens)
        # What earlier passes took, ONNX Runtime keeps for the next.
        needed = cache_bytes + max(0, working - self._held_bytes)
        require(needed, f"{rows} queries of {tokens} tokens", available_bytes())
        self._held_bytes = max(self._held_bytes, working)

    def _bound(
        self, ids: IntArray, before: NDArray[np.int32], total: NDArray[np.int32], last: IntArray
    ) -> Any:
        """Inputs and outputs of a pass; the arrays stay where they are, and may change between runs."""
        rows = len(ids)
        binding = self._session.io_binding()
        inputs: dict[str, NDArray[Any]] = {
            "input_ids": ids,
            "seqlens_k": before,
            "total_sequence_length": total,
            "last": last,
        }
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, _value(array))
        for name, cache in self._caches.items():
            shared = _value(cache[:rows])
            binding.bind_ortvalue_input(f"past_key_values.{name}", shared)
            binding.bind_ortvalue_output(f"present.{name}", shared)
        binding.bind_ortvalue_output("next_ids", _value(self.tokens[:rows]))
        return binding

    def _filled(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """A cache with random contents: zeros might cost less than what a cache really holds."""
        cache = np.empty(shape, dtype=self.dimensions.dtype)
        flat = cache.reshape(-1)
        for begin in range(0, flat.size, DRAWN):
            part = flat[begin : begin + DRAWN]
            part[:] = self._drawn[: part.size]
        return cache


def _value(array: NDArray[Any]) -> Any:
    """The array as ONNX Runtime's value: the same memory."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
