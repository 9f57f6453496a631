"""What every instance did when, as columns: from it come the time series and the trace."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from llmsim.curves.cost import BoolArray, FloatArray, IntArray

# What an instance does when it is neither idle nor asleep; `serve` is work not told apart by phase.
ACTIVITIES = ("serve", "prefill", "decode", "mixed", "wake")
_CODE: Mapping[str, int] = {name: code for code, name in enumerate(ACTIVITIES)}


class Tape:
    """Written while a fleet is in motion, one row a stretch of one activity with a constant batch."""

    __slots__ = ("_activity", "_batch", "_deployment", "_end_s", "_energy_j", "_instance", "_start_s")

    def __init__(self) -> None:
        self._deployment, self._instance = array("i"), array("i")
        self._activity, self._batch = array("b"), array("i")
        self._start_s, self._end_s, self._energy_j = array("d"), array("d"), array("d")

    def write(
        self, where: tuple[int, int], activity: str, span_s: tuple[float, float], energy_j: float, batch: int
    ) -> None:
        """One stretch.

        Args:
            where: deployment and instance.
            activity: one of ACTIVITIES.
            span_s: start and end.
            energy_j: joules from start to end.
            batch: queries in the batch.
        """
        self._deployment.append(where[0])
        self._instance.append(where[1])
        self._activity.append(_CODE[activity])
        self._start_s.append(span_s[0])
        self._end_s.append(span_s[1])
        self._energy_j.append(energy_j)
        self._batch.append(batch)

    def stretches(self) -> Stretches:
        """All that was written, in order of start, then deployment and instance."""
        start_s = np.array(self._start_s, np.float64)
        deployment = np.array(self._deployment, np.int64)
        instance = np.array(self._instance, np.int64)
        order = np.lexsort((instance, deployment, start_s))
        return Stretches(
            deployment=deployment[order],
            instance=instance[order],
            activity=np.array(self._activity, np.int64)[order],
            start_s=start_s[order],
            end_s=np.array(self._end_s, np.float64)[order],
            energy_j=np.array(self._energy_j, np.float64)[order],
            batch=np.array(self._batch, np.int64)[order],
        )


@dataclass(frozen=True)
class Stretches:
    """Rows of a tape as arrays of one shape; `activity` is an index into ACTIVITIES."""

    deployment: IntArray
    instance: IntArray
    activity: IntArray
    start_s: FloatArray
    end_s: FloatArray
    energy_j: FloatArray
    batch: IntArray

    def take(self, chosen: BoolArray) -> Stretches:
        """The rows of a mask."""
        return Stretches(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})
