"""What every bench of a campaign must do."""

from __future__ import annotations

from llmsim.api import Bench, Cell, OutOfMemory
from llmsim.testing.checks import require

TOO_MANY = 1_000_000


class BenchConformance:
    """Counts, times, order of cost, out of memory, cleanup. Override `open_bench` (with a KV cache)."""

    cells = (Cell("prefill", 1, 8, 1), Cell("decode", 2, 8, 5), Cell("generation", 1, 8, 4))

    def open_bench(self) -> Bench:
        """A new bench."""
        raise NotImplementedError

    def test_a_cell_runs_once_at_least_and_says_how_long(self) -> None:
        """Also when no time is asked for."""
        bench = self.open_bench()
        for cell in self.cells:
            passes = bench.prepare(cell).run(0.0)
            require(passes.count >= 1 and passes.seconds > 0, f"{cell}: {passes}")
        bench.close()

    def test_a_cell_runs_for_at_least_the_seconds_asked_for(self) -> None:
        """Its own clock and the host's agree roughly."""
        bench = self.open_bench()
        passes = bench.prepare(self.cells[0]).run(0.05)
        require(passes.seconds >= 0.04, f"{passes.seconds} s of 0.05 s")
        bench.close()

    def test_generated_tokens_are_counted(self) -> None:
        """One in a prefill; a step each in decode; all of them in a generation."""
        bench = self.open_bench()
        wanted = {"prefill": 1, "decode": 4, "generation": 4}
        for cell in self.cells:
            tokens = bench.prepare(cell).run(0.0).tokens
            require(tokens == wanted[cell.experiment], f"{cell}: {tokens} tokens")
        bench.close()

    def test_what_does_not_fit_is_out_of_memory_and_the_next_cell_runs(self) -> None:
        """An outcome, not a crash."""
        bench = self.open_bench()
        try:
            bench.prepare(Cell("decode", TOO_MANY, TOO_MANY, 2)).run(0.0)
        except OutOfMemory:
            bench.prepare(self.cells[0]).run(0.0)
            bench.close()
            return
        raise AssertionError(f"{TOO_MANY} queries of {TOO_MANY} tokens ran")

    def test_conditions_say_what_the_weights_are(self) -> None:
        """Random, or a checkpoint's."""
        bench = self.open_bench()
        require(bool(bench.conditions().get("weights")), "no word about the weights")
        bench.close()
