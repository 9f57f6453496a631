"""What every measuring engine must do.

>>> from llmsim.testing import EngineConformance, toy_deployment
>>> class TestMine(EngineConformance):
...     def open_engine(self):
...         return MyBackend(device="cpu").open(toy_deployment())
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from llmsim.api import Engine
from llmsim.testing.checks import require, require_refused

# Prompt and answer of the batches that the suite serves: small enough for a model of toy size on a CPU.
TAU_IN, TAU_OUT = (3, 9, 5), (4, 1, 6)
TOO_LONG = 10_000_000


class MeasuringEngine(Engine, Protocol):
    """An engine that also shows what it generated."""

    def generated(self) -> list[list[int]]:
        """Tokens of the last batch, a list a query."""
        ...


class EngineConformance:
    """Life cycle, times, exact token counts, determinism, refusal, interruption, cleanup.

    Override `open_engine`; it is called anew for each test and must hold queries of 32 tokens.
    """

    def open_engine(self) -> MeasuringEngine:
        """A new engine, ready to serve."""
        raise NotImplementedError

    def most_at_once(self) -> int:
        """Queries that it serves together; 1 for an engine without batches."""
        return len(TAU_IN)

    def test_a_query_takes_time_and_its_first_token_comes_no_later_than_its_last(self) -> None:
        """Seconds are positive and finite, and in order."""
        engine = self.open_engine()
        advance = engine.serve(TAU_IN[:1], TAU_OUT[:1])
        require(0 < advance.first_token_s <= advance.runtime_s < float("inf"), str(advance))
        engine.close()

    def test_every_query_gets_exactly_the_tokens_it_asks_for(self) -> None:
        """No more and no fewer, in a batch of different lengths too."""
        engine = self.open_engine()
        n = self.most_at_once()
        engine.serve(TAU_IN[:n], TAU_OUT[:n])
        counts = tuple(len(tokens) for tokens in engine.generated())
        require(counts == TAU_OUT[:n], f"{counts} tokens, asked for {TAU_OUT[:n]}")
        engine.close()

    def test_one_token_is_a_whole_answer(self) -> None:
        """The first token is the last."""
        engine = self.open_engine()
        engine.serve((4,), (1,))
        require(len(engine.generated()[0]) == 1, "not one token")
        engine.close()

    def test_the_same_batch_gives_the_same_tokens(self) -> None:
        """Again, after another batch in between, and on another engine."""
        engine = self.open_engine()
        n = self.most_at_once()
        engine.serve(TAU_IN[:n], TAU_OUT[:n])
        first = engine.generated()
        engine.serve((7,), (3,))
        engine.serve(TAU_IN[:n], TAU_OUT[:n])
        require(engine.generated() == first, "other tokens the second time")
        engine.close()
        other = self.open_engine()
        other.serve(TAU_IN[:n], TAU_OUT[:n])
        require(other.generated() == first, "other tokens on another engine")
        other.close()

    def test_joules_are_the_drivers_to_count(self) -> None:
        """None, or a positive number; never 0."""
        engine = self.open_engine()
        joules = engine.serve(TAU_IN[:1], TAU_OUT[:1]).energy_j
        require(joules is None or joules > 0, f"{joules} J")
        engine.close()

    def test_what_does_not_fit_is_refused_before_anything_is_served(self) -> None:
        """`expect` raises InputError, and the engine serves on."""
        engine = self.open_engine()
        require_refused(
            lambda: engine.expect(np.array([3, TOO_LONG]), np.array([4, 1])),
            f"a query of {TOO_LONG} tokens was not refused",
        )
        engine.serve(TAU_IN[:1], TAU_OUT[:1])
        engine.close()

    def test_an_interrupted_batch_leaves_the_engine_fit_for_the_next(self) -> None:
        """What a failed batch left behind does not show in the tokens of the next."""
        engine = self.open_engine()
        engine.serve(TAU_IN[:1], TAU_OUT[:1])
        first = engine.generated()
        require_refused(lambda: engine.serve((TOO_LONG,), (1,)), f"a query of {TOO_LONG} tokens was served")
        engine.serve(TAU_IN[:1], TAU_OUT[:1])
        require(engine.generated() == first, "other tokens after a failed batch")
        engine.close()

    def test_a_closed_engine_is_closed_for_good(self) -> None:
        """Closing twice does no harm; serving is refused."""
        engine = self.open_engine()
        engine.close()
        engine.close()
        require_refused(lambda: engine.serve(TAU_IN[:1], TAU_OUT[:1]), "a closed engine served")
