"""What the instances of one continuous deployment share."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from llmsim.backends.phase import PhaseCosts
from llmsim.simulation.doze import Doze
from llmsim.simulation.floor import Floor
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.slots import admission_blocks


class Hall:
    """Costs, limits and meters of one deployment's instances.

    Attributes:
        doze: None: instances are always on.
        steps: cost of a decode step by batch, 0 to the batch limit.
        limited: whether a power limit bounds the joules of any.
        admission_blocks: KV blocks that each query is admitted with the first time.
        left: told the instance's number as each query leaves it.
    """

    __slots__ = ("admission_blocks", "costs", "doze", "floor", "left", "limited", "limits", "meters", "steps")

    def __init__(
        self, floor: Floor, costs: PhaseCosts, limits: Limits, meters: Meters, doze: Doze | None = None
    ) -> None:
        self.floor = floor
        self.costs = costs
        self.limits = limits
        self.meters = meters
        self.doze = doze
        self.steps = costs.steps(limits.max_batch)
        self.limited = any(limit_w < inf for *_, limit_w in self.steps)
        self.admission_blocks = admission_blocks(floor.book, limits)
        self.left: Callable[[int], None] = _nobody


def _nobody(number: int) -> None:
    """Nobody is told."""
