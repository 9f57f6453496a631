"""Number cells of the user's tables: traces and trials are read by one strict rule."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
_NOT_FINITE = re.compile(r"[ \t]*[+-]?(nan|inf|infinity)[ \t]*", re.IGNORECASE)

SHOWN_CHARACTERS = 40


class Cell(Exception):
    """Why a cell cannot be used, a sentence without its subject; the caller adds where the cell is."""


def number(cell: str) -> float:
    """The number in a cell, written in ASCII digits, such as `12`, `1.5` or `1e3`.

    Python's own reading is laxer: it takes `1_000` and the digits of every script. A number beyond float64 is
    infinite here; whoever asks says what range is possible.

    Raises:
        Cell: empty, not a number, or one that is not finite by name (`nan`, `inf`).

    >>> number(" 1.5e3 ")
    1500.0
    """
    if _NUMBER.fullmatch(cell):
        return float(cell)
    if not cell.strip():
        raise Cell("is empty.")
    if not_finite(cell):
        raise Cell("is not a finite number.")
    raise Cell("is not a number.")


def not_finite(cell: str) -> bool:
    """Whether a cell names something that is not a finite number: `nan` or an infinity."""
    return _NOT_FINITE.fullmatch(cell) is not None


def shown(cell: str) -> str:
    """A cell as errors quote it: cut where it is long."""
    return repr(cell if len(cell) <= SHOWN_CHARACTERS else cell[: SHOWN_CHARACTERS - 3] + "...")
