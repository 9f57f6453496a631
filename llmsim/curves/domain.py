"""Where measurements were made, and which queries lie outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsim.curves.cost import BoolArray, IntArray


@dataclass(frozen=True)
class Domain:
    """The joint range of two inputs: a staircase, so that (long, long) is outside unless it was measured.

    A point is inside when it is at least the least of each input, and some measured point is as large or
    larger in both.

    Attributes:
        names: the two inputs, such as ("tau_in", "tau_out").
        least: the smallest measured of each.
        corners: measured points that no other dominates, by increasing first input.
    """

    names: tuple[str, str]
    least: tuple[int, int]
    corners: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, names: tuple[str, str], first: IntArray, second: IntArray) -> Domain:
        """The domain of measured points, each array of shape (n,), n at least 1."""
        corners: list[tuple[int, int]] = []
        for a, b in sorted(zip(first.tolist(), second.tolist(), strict=True), reverse=True):
            if not corners or b > corners[-1][1]:
                corners.append((a, b))
        return cls(names, (int(first.min()), int(second.min())), tuple(reversed(corners)))

    def outside(self, first: IntArray, second: IntArray) -> BoolArray:
        """True for each point outside, shape (n,)."""
        firsts = np.array([a for a, _ in self.corners])
        seconds = np.array([b for _, b in self.corners] + [-1])
        reach = seconds[np.searchsorted(firsts, first)]  # the most of the second at that much of the first
        below = (first < self.least[0]) | (second < self.least[1])
        return np.asarray(below | (second > reach), dtype=np.bool_)

    def as_dict(self) -> dict[str, list[int]]:
        """The range of each input, for people and files."""
        return {
            self.names[0]: [self.least[0], max(a for a, _ in self.corners)],
            self.names[1]: [self.least[1], max(b for _, b in self.corners)],
        }
