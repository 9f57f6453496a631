"""Power, queue and batch over time, from the tape of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from llmsim.curves.cost import FloatArray
from llmsim.errors import InputError
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.tape import ACTIVITIES, Stretches
from llmsim.simulation.window import take

# States of a timeline: what the tape says, and what lies between.
STATES = (*ACTIVITIES, "idle", "asleep")
MAX_INTERVALS = 10_000_000
_IDLE, _ASLEEP = len(ACTIVITIES), len(ACTIVITIES) + 1


@dataclass(frozen=True)
class Series:
    """Means over intervals of equal length, one entry an interval in each column.

    Attributes:
        time_s: start of each interval.
        power_w: NaN where a deployment's energy or idle power is not known.
        waiting: queries that have arrived and are not served yet.
        serving: queries in batches.
    """

    time_s: FloatArray
    power_w: FloatArray
    waiting: FloatArray
    serving: FloatArray


def fill(stretches: Stretches, ledger: Ledger, horizon_s: float) -> Stretches:
    """The tape with idle and sleep put in, so that every instance is in one state at any time.

    Args:
        horizon_s: seconds from the first arrival.
    """
    start_s = float(ledger.arrival_s[0])
    end_s = start_s + horizon_s
    sizes = np.array([item.instances for item in ledger.deployments])
    first = np.concatenate([[0], np.cumsum(sizes)])
    row = first[stretches.deployment] + stretches.instance
    order = np.lexsort((stretches.start_s, row))
    row, begins, ends = row[order], stretches.start_s[order], stretches.end_s[order]
    # A gap before each stretch, and one after the last of each instance.
    everyone = np.arange(first[-1])
    new = np.concatenate([[True], row[1:] != row[:-1]]) if len(row) else np.zeros(0, dtype=bool)
    before = np.where(new, start_s, np.concatenate([[start_s], ends[:-1]])) if len(row) else begins
    last = np.full(len(everyone), start_s)
    last[row] = ends  # of several, the last remains
    gap_row = np.concatenate([row, everyone])
    gap_start = np.concatenate([before, last])
    gap_end = np.concatenate([begins, np.full(len(everyone), end_s)])
    deployment = np.repeat(np.arange(len(sizes)), sizes)
    keep_alive_s = np.array([item.serving.sleeps_after_s for item in ledger.deployments])
    sleep_s = np.minimum(gap_start + keep_alive_s[deployment[gap_row]], gap_end)
    idle_w = np.array([np.nan if d.idle_power_w is None else d.idle_power_w for d in ledger.deployments])
    asleep_w = np.array([d.serving.asleep_power_w for d in ledger.deployments])
    parts = [stretches]
    for state, power_w, begin, end in (
        (_IDLE, idle_w, gap_start, sleep_s),
        (_ASLEEP, asleep_w, sleep_s, gap_end),
    ):
        some = end > begin
        where = gap_row[some]
        length = end[some] - begin[some]
        parts.append(
            Stretches(
                deployment=deployment[where],
                instance=where - first[deployment[where]],
                activity=np.full(len(where), state),
                start_s=begin[some],
                end_s=end[some],
                energy_j=power_w[deployment[where]] * length,
                batch=np.zeros(len(where), dtype=np.int64),
            )
        )
    names = [column.name for column in fields(Stretches)]
    return Stretches(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def series(
    filled: Stretches, ledger: Ledger, interval_s: float, horizon_s: float, deployment: int | None = None
) -> Series:
    """Mean power, queue and batch of each interval; their integrals are exact.

    Args:
        filled: from `fill`.
        deployment: count this one only; None: the whole fleet.

    Raises:
        InputError: an interval that is not positive, or makes more than MAX_INTERVALS of them.
    """
    start_s = float(ledger.arrival_s[0])
    if not interval_s > 0 or horizon_s / interval_s > MAX_INTERVALS:
        least_s = horizon_s / MAX_INTERVALS
        raise InputError(f"series.interval_s={interval_s}: must be above {least_s:g} s for this run.")
    count = int(np.ceil(horizon_s / interval_s))
    edges = np.append(start_s + interval_s * np.arange(count, dtype=np.float64), start_s + horizon_s)
    length_s = np.diff(edges)
    if deployment is not None:
        filled = filled.take(filled.deployment == deployment)
        ledger = take(ledger, ledger.deployment == deployment)
    seconds = filled.end_s - filled.start_s
    lasting = seconds > 0
    begin_s, end_s = filled.start_s[lasting], filled.end_s[lasting]
    energy_j = np.diff(_integral(edges, begin_s, end_s, filled.energy_j[lasting] / seconds[lasting]))
    # What takes joules but no time, such as waking at once, counts where it happens.
    energy_j += np.histogram(filled.start_s[~lasting], edges, weights=filled.energy_j[~lasting])[0]
    ones = np.ones(len(ledger.arrival_s))
    return Series(
        time_s=edges[:-1],
        power_w=energy_j / length_s,
        waiting=np.diff(_integral(edges, ledger.arrival_s, ledger.start_s, ones)) / length_s,
        serving=np.diff(_integral(edges, ledger.start_s, ledger.end_s, ones)) / length_s,
    )


def _integral(edges: FloatArray, begin: FloatArray, end: FloatArray, rate: FloatArray) -> FloatArray:
    """The integral, up to each edge, of a sum of rates that hold from `begin` to `end`."""
    times = np.concatenate([begin, end])
    order = np.argsort(times, kind="stable")
    times = times[order]
    if not len(times):
        return np.zeros(len(edges))
    rates = np.cumsum(np.concatenate([rate, -rate])[order])
    so_far = np.concatenate([[0.0], np.cumsum(rates[:-1] * np.diff(times))])
    place = np.clip(np.searchsorted(times, edges, side="right") - 1, 0, None)
    after: FloatArray = so_far[place] + rates[place] * np.maximum(edges - times[place], 0.0)
    return np.where(edges < times[0], 0.0, after)
