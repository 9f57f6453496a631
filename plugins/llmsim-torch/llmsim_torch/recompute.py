"""Generation without a KV cache: every token is a pass over all tokens before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from llmsim_torch.capture import captured
from llmsim_torch.decoder import Decoder, Prompts
from llmsim_torch.padding import MOST_CAPTURED_TOKENS, padded


class Recompute:
    """One query at a time; its tokens stay on the device from pass to pass.

    Args:
        decoder: what runs; it keeps no keys or values.
        max_tokens: the longest prompt plus answer.
    """

    def __init__(self, decoder: Decoder, max_tokens: int) -> None:
        self.decoder = decoder
        device = decoder.weights.norm.device
        self.ids = torch.zeros(padded(max_tokens), dtype=torch.int64, device=device)
        self.last = torch.zeros(1, dtype=torch.int64, device=device)
        self._nowhere = torch.zeros_like(self.ids)
        self._positions = torch.arange(len(self.ids), device=device)
        self._passes: dict[int, Callable[[], None]] = {}
        self._memory: tuple[int, int] | None = None

    def begin(self, prompt: Tensor) -> None:
        """Take a prompt."""
        self.ids[: len(prompt)] = prompt.to(self.ids.device)
        self.last.fill_(len(prompt) - 1)

    def generate(self, tau_in: int, tau_out: int) -> Tensor:
        """Exactly tau_out tokens after a prompt of tau_in that `begin` took, shape (tau_out,)."""
        for tokens in range(tau_in, tau_in + tau_out):
            self.prepare(tokens)()
        return self.ids[tau_in : tau_in + tau_out]

    def prepare(self, tokens: int) -> Callable[[], None]:
        """What runs the pass over so many tokens, captured where it is short, and appends the next one."""
        room = padded(tokens) if tokens <= MOST_CAPTURED_TOKENS else tokens
        if self.ids.device.type == "cpu" or room > MOST_CAPTURED_TOKENS:
            return lambda: self._pass(tokens)
        if room not in self._passes:
            before = self.ids.clone(), self.last.clone()
            self.last.zero_()  # any place within this room; the true one may lie beyond it
            run, self._memory = captured(lambda: self._pass(room), self._memory)
            self.ids.copy_(before[0])
            self.last.copy_(before[1])
            self._passes[room] = run
        return self._passes[room]

    def _pass(self, room: int) -> None:
        prompt = Prompts(
            self.ids[:room], self._nowhere[:room], self._positions[:room], self.last, (room,), (0,)
        )
        following = self.decoder.prefill(prompt, None).argmax(-1)
        self.last += 1
        # An answer that fills its room has nowhere for the token after it.
        self.ids[self.last.clamp(max=len(self.ids) - 1)] = following
