"""Which cells a campaign measures: a grid, or the half of it that tells as much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from llmsim.errors import InputError, did_you_mean
from llmsim.measurement.cell import Cell, Experiment

DESIGNS = ("grid", "checkerboard")

Pairs = list[tuple[int, int]]


def choose(design: str, first: Sequence[int], second: Sequence[int]) -> Pairs:
    """Pairs of two factors' levels.

    ``grid``: all. ``checkerboard``: every second one, as the squares of one colour, and the corners. Every
    level of each factor stays, beside about half the levels of the other, so that both main effects and
    their product can still be told apart.

    Raises:
        InputError: another design.
    """
    if design not in DESIGNS:
        raise InputError(f"task.design={design}: {did_you_mean(design, DESIGNS, 'design')}")
    rows, columns = sorted(set(first)), sorted(set(second))
    chosen = []
    for (i, a), (j, b) in product(enumerate(rows), enumerate(columns)):
        corner = i in (0, len(rows) - 1) and j in (0, len(columns) - 1)
        if design == "grid" or (i + j) % 2 == 0 or corner:
            chosen.append((a, b))
    return chosen


def prefill_cells(pairs: Iterable[tuple[int, int]]) -> list[Cell]:
    """Passes over (batch, tokens)."""
    return [Cell("prefill", batch, tokens, 1) for batch, tokens in pairs]


def decode_cells(pairs: Iterable[tuple[int, int]], steps: int) -> list[Cell]:
    """So many steps of (batch, context)."""
    return [Cell("decode", batch, context, steps + 1) for batch, context in pairs]


def generation_cells(pairs: Iterable[tuple[int, int]], batch: int = 1) -> list[Cell]:
    """Whole generations of (tau_in, tau_out)."""
    experiment: Experiment = "generation"
    return [Cell(experiment, batch, tau_in, tau_out) for tau_in, tau_out in pairs]


def within(cells: Iterable[Cell], context_tokens: int, max_batch: int) -> list[Cell]:
    """The cells that a model's context and an instance's batch allow, each once."""
    return sorted({cell for cell in cells if cell.tokens <= context_tokens + 1 and cell.batch <= max_batch})
