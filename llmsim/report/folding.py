"""Long names on several lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# After what a name may go on in the next line, the best first; the rest is cut anywhere.
BREAKS = (" ", "=,;", "@/", "_-.:")
LABEL = 26
"""Longer names are folded where room is short: in characters."""


def fold(text: str, most: int = LABEL, width: Callable[[str], int] = len) -> list[str]:
    """`text` in lines of at most `most`, broken between words if that will do.

    Args:
        width: of a text, in what `most` counts.
    """
    lines = [""]
    for piece in _pieces(text, max(2, most), width, BREAKS):
        if lines[-1] and width((lines[-1] + piece).rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def folded(text: str, most: int = LABEL) -> str:
    """The same as one text."""
    return "\n".join(fold(text, most))


def _pieces(text: str, most: int, width: Callable[[str], int], breaks: Sequence[str]) -> Iterator[str]:
    """What is not to be torn, each with the sign after which it ends."""
    if not breaks:
        yield from text  # lines are filled sign by sign
        return
    start = 0
    for end, sign in enumerate(text, 1):
        if sign in breaks[0] or end == len(text):
            piece, start = text[start:end], end
            if width(piece.rstrip()) > most:
                yield from _pieces(piece, most, width, breaks[1:])
            else:
                yield piece
