"""What the instances of one continuous deployment share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan

from llmsim.backends.contract import StepEngine
from llmsim.backends.phase import PhaseCosts, SparingCosts, Step
from llmsim.simulation.doze import Doze
from llmsim.simulation.floor import Floor
from llmsim.simulation.limits import Limits
from llmsim.simulation.meters import Meters
from llmsim.simulation.slots import admission_blocks


class Fed:
    """Costs of an engine that runs its iterations: a prefill's are had by running it, a step's are not had.

    Attributes:
        engine: what runs.
        instance, queries: whose prefill the next one is; set by the instance beforehand.
    """

    __slots__ = ("engine", "instance", "queries")

    def __init__(self, engine: StepEngine) -> None:
        self.engine = engine
        self.instance = 0
        self.queries: Sequence[int] = ()

    def prefill(self, tokens: Sequence[int], past: Sequence[int] = ()) -> tuple[float, float]:
        """Run it; seconds and joules, NaN where those are not known."""
        work = self.engine.prefill(self.instance, self.queries, tokens)
        return work.runtime_s, nan if work.energy_j is None else work.energy_j

    def steps(self, max_batch: int) -> list[Step]:
        """None is known before it is run."""
        return []


class Hall:
    """Costs, limits and meters of one deployment's instances.

    Attributes:
        doze: None: instances are always on.
        steps: cost of a decode step by batch, 0 to the batch limit.
        limited: whether a power limit bounds the joules of any.
        sparing: the costs, where more than that limit may be drawn for a while; None: not so.
        admission_blocks: KV blocks that each query is admitted with the first time.
        left: told the instance's number as each query leaves it.
    """

    __slots__ = (
        "admission_blocks",
        "costs",
        "doze",
        "floor",
        "left",
        "limited",
        "limits",
        "meters",
        "sparing",
        "steps",
    )

    def __init__(
        self,
        floor: Floor,
        costs: PhaseCosts | StepEngine,
        limits: Limits,
        meters: Meters,
        doze: Doze | None = None,
    ) -> None:
        self.floor = floor
        self.limits = limits
        self.meters = meters
        self.doze = doze
        if isinstance(costs, StepEngine):
            costs.begin(meters.instances, limits.max_batch)
            costs = Fed(costs)
        self.costs = costs
        self.steps = costs.steps(limits.max_batch)
        self.sparing = costs if isinstance(costs, SparingCosts) and costs.budget is not None else None
        self.limited = any(limit_w < inf for *_, limit_w in self.steps)
        self.admission_blocks = admission_blocks(floor.book, limits)
        self.left: Callable[[int], None] = _nobody


def _nobody(number: int) -> None:
    """Nobody is told."""
