"""The continuous discipline with chunked prefill: prompts in pieces, beside the decoding queries.

A step with a chunk costs the chunk, with what its prompts have in the cache already, plus the decode step of
the others. No trial measures such a mixed step: its cost is modelled, the chunk's as of a pass on end,
whatever there is to spare above the power limit. See Agrawal et al., Sarathi-Serve, OSDI 2024.
"""

from __future__ import annotations

from llmsim.simulation.continuous import ContinuousInstance
from llmsim.simulation.hall import Hall


class ChunkedInstance(ContinuousInstance):
    """One running copy; a mixed step is an event of its own, steps without prompts are solved for as ever."""

    __slots__ = ("_ahead", "_chunk_tokens", "_mixed", "_prefilled")

    def __init__(self, hall: Hall, number: int) -> None:
        super().__init__(hall, number)
        self._chunk_tokens = hall.limits.chunk_tokens or 0
        # Admitted queries that do not decode yet, first come first, with the tokens still to prefill.
        self._ahead: dict[int, int] = {}
        self._prefilled: list[int] = []  # those whose prompts this step completes
        self._mixed = False

    def arrive(self, query: int) -> None:
        """A query comes in now."""
        if self._mixed:
            self.waiting.append(query)  # looked at when the step ends
        else:
            super().arrive(query)

    def settle(self) -> None:
        """Admit, make room for the next step, and take it: with a chunk while there are prompts."""
        self._unsettled = False
        now_s = self._clock._now
        if self.waiting:
            if self._sleeps(now_s):
                return
            self._admit_in_pieces(now_s)
        if self.growth is not None and self.make_room():
            self._changed = True
        if self._ahead:
            self._mix(now_s)
        else:
            self._decode(now_s)

    def _admit_in_pieces(self, now_s: float) -> None:
        """Give waiting queries places; their prompts are prefilled in the steps to come."""
        book = self.book
        for query in self._admit_due(now_s):
            generated = book.generated.get(query)
            self._ahead[query] = book.tau_in[query] + (generated or 0)
            if generated is None:
                book.start_s[query] = now_s

    def _mix(self, now_s: float) -> None:
        """Take one step with a chunk, and charge it."""
        book, hall, number = self.book, self._hall, self._number
        pieces, past = [], []
        decoding = len(self.held) - len(self._ahead)
        left = self._chunk_tokens
        self._prefilled = []
        for query, ahead in self._ahead.items():
            if left == 0:
                break
            piece = min(ahead, left)
            left -= piece
            pieces.append((query, piece))
            past.append(book.tau_in[query] + book.generated.get(query, 0) - ahead)
        for query, piece in pieces:
            self._ahead[query] -= piece
            if not self._ahead[query]:
                self._prefilled.append(query)
        tokens = [piece for _, piece in pieces]
        prefill_s, prefill_j = hall.costs.prefill(tokens, past)
        for query, piece in pieces:
            book.energy_j[query] += prefill_j * (piece / sum(tokens))
        step_s = step_j = 0.0
        if decoding:
            base_s, slope_s, base_j, slope_j, limit_w = hall.steps[decoding]
            step_s = base_s + slope_s * self.context
            step_j = base_j + slope_j * self.context
            if step_j > limit_w * step_s:
                step_j = limit_w * step_s
            self._share_j += step_j / decoding
        meters = hall.meters
        meters.prefill_s[number] += prefill_s
        meters.prefill_j[number] += prefill_j
        meters.decode_s[number] += step_s
        meters.decode_j[number] += step_j
        self._mixed = True
        self._next_s = now_s + (prefill_s + step_s)
        if hall.floor.tape is not None:
            span_s = (now_s, self._next_s)
            hall.floor.tape.write(
                (meters.deployment, number), "mixed", span_s, prefill_j + step_j, len(self.held)
            )
        if self._next_s < self._pending_s:
            self._set_alarm(self._next_s)

    def _reach(self, now_s: float) -> None:
        """A mixed step ends: the decoding queries have a token more, completed prompts their first."""
        if not self._mixed:
            super()._reach(now_s)
            return
        self._mixed = False
        self._changed = True
        book = self.book
        self.context += len(self.held) - len(self._ahead)
        self.steps += 1
        for query in self._prefilled:
            del self._ahead[query]
            book.energy_j[query] -= self._share_j
            if self.begin(query) == book.tau_in[query]:
                book.first_token_s[query] = now_s

    def _withdraw(self, query: int) -> int:
        """A query that does not decode yet gives back its place, and loses what was prefilled."""
        if query in self._ahead:
            del self._ahead[query]
            return self.book.generated.get(query, 0)
        return super()._withdraw(query)
