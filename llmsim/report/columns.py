"""How wide the columns of a terminal's table are: figures and headings stay whole, labels are folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from llmsim.report.folding import LABEL, fold

Part = list[tuple[int, int]]
"""Columns that stand side by side: their places and widths."""

WORD = 18
"""Longer words of a heading are folded: in characters."""


@dataclass(frozen=True)
class Columns:
    """What has to be laid out.

    Attributes:
        headings: of the columns.
        rows: cells, as many a row as there are headings.
        words: columns that say what a row is; each part of a table that is too wide begins with them.
        together: columns after those that are not torn apart, counted from the first.
        room: width of the terminal.
        edge, between: what a table takes beside its columns, and beside each.
        width: of a text, in what the others count.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int
    together: int
    room: int
    edge: int
    between: int
    width: Callable[[str], int] = len

    def parts(self) -> list[Part]:
        """The columns in as few parts as hold them, alike in width; labels folded where that makes fewer."""
        places = range(len(self.headings))
        figures = {place: self._figures(place) for place in places[self.words :]}
        whole = {place: max(self._cells(place), self.width(self.headings[place])) for place in places}
        if self._taken(whole.values()) <= self.room:
            return [list(whole.items())]
        found: list[list[Part]] = []
        for most in (self.room, max(12, min(LABEL, self.room // 3))):
            labels = {place: self._folded(place, most) for place in places[: self.words]}
            found.append(self._balanced(labels, figures))
        best = min(found, key=len)  # the first, of as many: labels that are whole
        return [self._widened(part) for part in best]

    def _balanced(self, labels: dict[int, int], figures: dict[int, int]) -> list[Part]:
        """As few parts as `room` allows, in the least room that allows as few."""
        parts = self._filled(labels, figures, self.room)
        for room in range(self.room - 1, self._taken(labels.values()), -1):
            narrower = self._filled(labels, figures, room)
            if len(narrower) > len(parts):
                break
            parts = narrower
        return parts

    def _filled(self, labels: dict[int, int], figures: dict[int, int], room: int) -> list[Part]:
        """Labels and groups of columns, as many as fit, part after part."""
        places = list(figures)
        groups = [places[at : at + self.together] for at in range(0, len(places), self.together)]
        parts: list[Part] = []
        for group in groups:
            added = [(place, figures[place]) for place in group]
            if parts and self._taken([width for _, width in (*parts[-1], *added)]) <= room:
                parts[-1] += added
            else:
                parts.append([*labels.items(), *added])
        return parts or [list(labels.items())]

    def _widened(self, part: Part) -> Part:
        """The part with what room it leaves given to headings of many lines, the tallest first."""
        widths = dict(part)
        spare = self.room - self._taken(widths.values())

        def lines(place: int, width: int) -> int:
            """Of a heading in a column of some width."""
            return len(fold(self.headings[place], width, self.width))

        while True:
            gains: list[tuple[int, int, int]] = []
            for place, width in widths.items():
                tall = lines(place, width)
                wider = (w for w in range(width + 1, width + spare + 1) if lines(place, w) < tall)
                needed = next(wider, None)
                if needed is not None:
                    gains.append((-tall, needed - width, place))
            if not gains:
                return list(widths.items())
            _, more, place = min(gains)
            widths[place] += more
            spare -= more

    def _figures(self, place: int) -> int:
        """The least width at which no figure and no word of the heading is torn."""
        words = [min(self.width(word), WORD) for word in self.headings[place].split()]
        cells = self._cells(place)
        if cells > LABEL:  # sentences
            cells = max(self.width(word) for row in self.rows for word in row[place].split() or [""])
            cells = max(cells, LABEL)
        return max([*words, cells, 1])

    def _folded(self, place: int, most: int) -> int:
        """Width of a column of labels that are folded to `most`."""
        texts = [self.headings[place], *(row[place] for row in self.rows)]
        return max(self.width(line) for text in texts for line in fold(text, most, self.width))

    def _cells(self, place: int) -> int:
        return max((self.width(row[place]) for row in self.rows), default=0)

    def _taken(self, widths: Iterable[int]) -> int:
        found = list(widths)
        return self.edge + sum(found) + self.between * len(found)
