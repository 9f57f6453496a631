"""A resident model as an engine: it serves batches for real."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import numpy as np
import torch

from llmsim.api import Advance, InputError, Work
from llmsim_torch.padding import MOST_CAPTURED_TOKENS, padded
from llmsim_torch.recompute import Recompute
from llmsim_torch.resident import Resident
from llmsim_torch.stepping import Stepper


class TorchEngine:
    """Serves one batch after the other, or iterations; every query gets exactly the tokens it asks for.

    Every query of a batch keeps its place until the longest answer ends, as with transformers' `generate`:
    each step is of the whole batch, and what a query gets beyond its own tokens is thrown away. Joules are
    the driver's meters' to count, so none are told.

    Args:
        resident: the model and its cache.
        kv_cache: False: one query at a time, everything recomputed for each token.
        seed: of the random prompts.
        at_once: queries of the largest batch that will be served.
    """

    def __init__(self, resident: Resident, kv_cache: bool, seed: int, at_once: int = 1) -> None:
        self._resident: Resident | None = resident
        self._recompute = None if kv_cache else Recompute(resident.decoder, resident.decoder.max_tokens)
        self._seed = seed
        self._at_once = at_once if kv_cache else 1
        self._generated: list[list[int]] = []
        self._stepper: Stepper | None = None
        self._longest = 0
        self._prompt_lengths: list[int] = []

    def expect(self, tau_in: np.ndarray, tau_out: np.ndarray) -> None:
        """Refuse what does not fit before the first query is served: a query, or the batch that needs most.

        Raises:
            InputError: with the sizes, and the setting that would mend it.
        """
        prompts, answers = np.asarray(tau_in), np.asarray(tau_out)
        longest = int((prompts + answers).max(initial=0))
        self._require(longest)
        self._longest = longest
        self._prompt_lengths = sorted(set(prompts.tolist()))
        if self._at_once > 1:
            self._require_room(self._at_once, int(prompts.max(initial=0)), int(answers.max(initial=0)))

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch and say what it took; see `llmsim.api.Engine`.

        Raises:
            InputError: the batch does not fit the cache.
        """
        if self._recompute is not None:
            return self._one_by_one(self._recompute, tau_in, tau_out)
        resident, batch = self._open(), len(tau_in)
        self._require_room(batch, max(tau_in), max(tau_out))
        resident.arrange(batch)
        slots = list(range(batch))
        prefill = resident.prefill(slots, self._prompts(tau_in))
        step = resident.step(slots)  # captured before the clock runs
        begin_s = self._now()
        prefill()
        first_s = self._now()
        seen = [resident.tokens.clone()]
        for _ in range(max(tau_out) - 1):
            step()
            seen.append(resident.tokens.clone())
        end_s = self._now()
        columns = torch.stack(seen).tolist()
        self._generated = [[column[slot] for column in columns[: tau_out[slot]]] for slot in slots]
        return Advance(end_s - begin_s, first_s - begin_s, None)

    def begin(self, instances: int, max_batch: int) -> None:
        """See `llmsim.api.StepEngine`.

        Raises:
            InputError: several instances, no KV cache, or no room for so many of the longest query.
        """
        if instances != 1 or self._recompute is not None:
            what = "without a KV cache" if self._recompute is not None else f"as {instances} instances"
            raise InputError(
                f"the continuous discipline runs one instance with a KV cache for real, not {what}: "
                "fleet.instances=1."
            )
        self._stepper = Stepper(self._open(), max_batch, self._longest, self._seed)

    def warm(self) -> None:
        """See `llmsim.api.WarmingEngine`."""
        if self._stepper is not None:
            self._stepper.warm(self._prompt_lengths)
        elif self._recompute is None and self._longest:
            self._warm_batches(self._open())

    def prepare(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> None:
        """See `llmsim.api.PreparingEngine`: capture what the batch needs, as a campaign's cells do."""
        if self._recompute is not None:
            return
        resident = self._open()
        self._require_room(len(tau_in), max(tau_in), max(tau_out))
        sealed, resident.sealed = resident.sealed, False
        resident.arrange(len(tau_in))
        slots = list(range(len(tau_in)))
        run, known = resident.prefill(slots, self._prompts(tau_in)), resident.knows_step(len(slots))
        resident.step(slots)
        if not known:  # a meter's window must begin on a device that works, and captures left it idle
            run()
        resident.sealed = sealed
        self._now()

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """See `llmsim.api.StepEngine`."""
        return self._stepping().prefill(queries, tokens)

    def decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """See `llmsim.api.StepEngine`."""
        return self._stepping().decode(most_steps, until_s)

    def release(self, instance: int, queries: Sequence[int]) -> None:
        """See `llmsim.api.StepEngine`."""
        self._stepping().release(queries)

    def generated_by(self, query: int) -> list[int]:
        """Tokens that a query of the iterations since `begin` got so far."""
        return self._stepping().generated[query]

    def generated(self) -> list[list[int]]:
        """Tokens of the last batch, a list a query."""
        return self._generated

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        self._resident = self._recompute = self._stepper = None
        gc.collect()  # the next model may need the room at once, and garbage waits while the clock runs
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _warm_batches(self, resident: Resident) -> None:
        """Serve batches of the longest queries; of single ones, capture passes over every length."""
        prompt = max(self._prompt_lengths)
        if self._at_once == 1 and resident.device.type != "cpu":
            resident.arrange(1)
            for room in sorted({padded(tokens) for tokens in self._prompt_lengths}):
                if room <= MOST_CAPTURED_TOKENS:
                    resident.prefill([0], [torch.zeros(room, dtype=torch.int64)])
        for batch in sorted({self._at_once, (self._at_once + 1) // 2}):
            try:
                self.serve([prompt] * batch, [min(2, self._longest - prompt)] * batch)
            except torch.OutOfMemoryError:  # no batch of the run may be so large
                torch.cuda.empty_cache()
        resident.sealed = True

    def _one_by_one(self, recompute: Recompute, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        self._require(max(i + o for i, o in zip(tau_in, tau_out, strict=True)))
        prompts = self._prompts(tau_in)
        for tokens_in, tokens_out in zip(tau_in, tau_out, strict=True):
            for tokens in range(tokens_in, tokens_in + tokens_out):
                recompute.prepare(tokens)
        self._generated = []
        begin_s, first_s = self._now(), None
        for prompt, tokens_in, tokens_out in zip(prompts, tau_in, tau_out, strict=True):
            recompute.begin(prompt)
            head = recompute.generate(tokens_in, 1)[:1].clone()
            first_s = self._now() if first_s is None else first_s
            rest = recompute.generate(tokens_in + 1, tokens_out - 1) if tokens_out > 1 else head[:0]
            self._generated.append([*head.tolist(), *rest.tolist()])
        end_s = self._now()
        return Advance(end_s - begin_s, (first_s or end_s) - begin_s, None)

    def _require(self, longest: int) -> None:
        """Raises InputError where a query of so many tokens does not fit."""
        resident = self._open()
        most = min(resident.decoder.max_tokens, resident.pool_tokens)
        if longest > most:
            raise InputError(
                f"a query of {longest} tokens, prompt and answer; this engine holds {most}: "
                f"backend.max_tokens={resident.decoder.max_tokens} (at most the model's context), "
                f"backend.cache_tokens={resident.pool_tokens}. Set both to {longest} or more, or cut the "
                "queries (workload.tau_in_max, workload.tau_out_max)."
            )

    def _require_room(self, batch: int, prompt: int, answer: int) -> None:
        """Raises InputError where a batch does not fit, whose longest prompt and answer are of so many."""
        resident, each = self._open(), prompt + answer
        said = (
            f"a batch of {batch} queries takes {batch} x ({prompt} + {answer}) tokens, the longest prompt "
            "and the longest answer in every place; "
        )
        if each > resident.decoder.max_tokens:
            raise InputError(
                f"{said}a place holds {resident.decoder.max_tokens} at most (backend.max_tokens, and the "
                "model's context): cut the queries (workload.tau_in_max, workload.tau_out_max)."
            )
        if batch * each > resident.pool_tokens:
            raise InputError(
                f"{said}the cache holds {resident.pool_tokens}: backend.cache_tokens={batch * each}, or a "
                "smaller fleet.serving.max_batch."
            )

    def _prompts(self, tau_in: Sequence[int]) -> list[torch.Tensor]:
        """Random prompts; the same batch has the same ones."""
        generator = torch.Generator().manual_seed(self._seed)
        vocabulary = self._open().decoder.weights.embedding.shape[0]
        return [torch.randint(vocabulary, (tokens,), generator=generator) for tokens in tau_in]

    def _now(self) -> float:
        if self._open().device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _stepping(self) -> Stepper:
        if self._stepper is None:
            raise InputError("this engine runs no iterations: begin first.")
        return self._stepper

    def _open(self) -> Resident:
        if self._resident is None:
            raise InputError("this engine is closed: open another.")
        return self._resident
