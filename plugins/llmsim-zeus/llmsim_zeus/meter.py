"""`meter=zeus`: joules of what Zeus reads, from update to update of its counters."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llmsim.api import InputError, Reading, Sampler
from llmsim_zeus.sources import Absent, Refused, Source, find
from llmsim_zeus.vendor import MILLI, bare

KINDS = ("soc", "gpus", "cpus", "dram")
# What is read unless asked otherwise: the first of these that there is.
USUAL = ("soc", "gpus", "cpus")
# A counter that does not move in this time is frozen, s.
LONGEST_PERIOD_S = 3.0
# Seconds over which the periods are found.
CALIBRATION_S = 2.0
# Between power readings where there is no counter, s.
POWER_PERIOD_S = 0.05
# Between readings of a counter, s; longer where a reading takes long: reading is this part of the time.
PAUSE_S, READING_SHARE = 0.002, 0.05
# Updates that a window must hold, at least, for its power to be believed.
FEWEST_UPDATES = 4
# Readings older than this before a window are dropped, s.
MEMORY_S = 60.0


@dataclass
class _Watched:
    """A source and the thread that watches it."""

    source: Source
    sampler: Sampler
    counter: bool
    period_s: float

    @property
    def how(self) -> str:
        """How its joules are had, as `Reading.how`."""
        return self.source.how if self.counter else "integrated_power"


@dataclass
class ZeusMeter:
    """Joules of AMD GPUs, Apple Silicon, Jetson and CPU packages, as Zeus reads them.

    A window's power is read from a counter's first move in it to its last, and taken for the whole window:
    the load must be steady. A GPU without a counter is read by integrating its power; the reading says so.

    Attributes:
        read: of soc, gpus, cpus, dram; empty: the first of soc, gpus, cpus that there is.
        devices: numbers of the GPUs to read; empty: all.
    """

    api_version: ClassVar[int] = 1

    read: list[str] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.read if kind not in KINDS]
        if unknown:
            raise InputError(f"meter.read={unknown[0]}: some of {', '.join(KINDS)}.")
        self._uuids: frozenset[str] | None = None
        self._watched: list[_Watched] | None = None
        self._start_s = 0.0

    def unavailable(self) -> str | None:
        """Why nothing can be read, and what to do about it; None: all that is asked for can."""
        try:
            self._open()
        except (Absent, Refused) as error:
            return str(error)
        return None

    def start(self) -> None:
        """A window begins now. The work before it has ended, and work like that within it came before it."""
        for item in self._opened():
            item.sampler.forget(time.perf_counter() - MEMORY_S)
        self._start_s = time.perf_counter()

    def stop(self) -> Sequence[Reading]:
        """The window ends now; one reading a source."""
        stop_s = time.perf_counter()
        return [_read(item, self._start_s, stop_s) for item in self._opened()]

    def close(self) -> None:
        """Watch no longer."""
        for item in self._watched or []:
            item.sampler.stop()
        self._watched = None

    def only(self, uuids: Iterable[str]) -> None:
        """Read no other GPUs than these, unless `devices` names some.

        Args:
            uuids: of the GPUs that work; none: no GPU does, and none is read.
        """
        self.close()
        self._uuids = frozenset(bare(uuid) for uuid in uuids)

    def least_window_s(self) -> float:
        """The shortest window that holds enough updates of every source, s."""
        return (FEWEST_UPDATES + 2) * max(item.period_s for item in self._opened())

    def describe(self) -> list[dict[str, Any]]:
        """How each source is read: its update period (s), what a read costs (s), and a GPU's power limits."""
        return [_described(item) for item in self._opened()]

    def _opened(self) -> list[_Watched]:
        """The watched sources; raises InputError where there are none."""
        try:
            return self._open()
        except (Absent, Refused) as error:
            raise InputError(f"meter=zeus: {error}.") from error

    def _open(self) -> list[_Watched]:
        """The sources, watched from the first time that they are asked for."""
        if self._watched is None:
            self._watched = _watch(self._find())
        return self._watched

    def _find(self) -> list[Source]:
        """The sources asked for, or those of the first kind that there is; raises Absent with all reasons."""
        if self.read:
            return [source for kind in dict.fromkeys(self.read) for source in self._of(kind)]
        reasons = []
        for kind in USUAL:
            if kind == "cpus" and (self._uuids or self.devices):
                break  # the work is a GPU's: a CPU's joules are not its
            try:
                return self._of(kind)
            except Absent as error:
                reasons.append(str(error))
        raise Absent("Zeus finds nothing to read here: " + "; ".join(reasons))

    def _of(self, kind: str) -> list[Source]:
        """The sources of one kind; raises Absent where the work is done on none of them."""
        if kind == "gpus" and self._uuids is not None and not self._uuids:
            raise Absent("no GPU: this work is done on none")
        return find(kind, self.devices, self._uuids or frozenset())


def _watch(sources: Sequence[Source]) -> list[_Watched]:
    """Begin to watch, and find how often each counter moves; all at the same time."""
    watched = [_begun(source) for source in sources]
    try:
        end_s = time.perf_counter() + LONGEST_PERIOD_S
        counters = [item for item in watched if item.counter]
        for item in counters:
            if not item.sampler.wait_for_move(max(0.0, end_s - time.perf_counter())):
                _without_counter(item)
        time.sleep(CALIBRATION_S if counters else 0.0)
        for item in counters:
            while item.counter and (found := item.sampler.ticks().period_s()) is None:
                if item.sampler.failure is not None or time.perf_counter() > end_s + LONGEST_PERIOD_S:
                    _without_counter(item)
                time.sleep(PAUSE_S)
            if item.counter and found is not None:
                item.period_s = max(found, item.source.floor_s)
    except Refused:
        for item in watched:
            item.sampler.stop()
        raise
    return watched


def _begun(source: Source) -> _Watched:
    """Watch a source; a counter that is slow to read is read less often."""
    if source.counter is None:
        return _Watched(source, _power_sampler(source), False, POWER_PERIOD_S)
    source.counter()  # the first one may start a process
    begin_s = time.perf_counter()
    source.counter()
    pause_s = max(PAUSE_S, (time.perf_counter() - begin_s) * (1 / READING_SHARE - 1))
    sampler = Sampler(source.counter, beside=source.power, pause_s=pause_s)
    sampler.start()
    return _Watched(source, sampler, True, max(pause_s, source.floor_s))


def _without_counter(item: _Watched) -> None:
    """Its counter does not move: power, integrated, where it has one."""
    item.sampler.stop()
    if item.source.power is None:
        failure = item.sampler.failure
        why = f"failed ({failure})" if failure is not None else f"did not move in {LONGEST_PERIOD_S:g} s"
        raise Refused(f"the counter of {item.source.name} ({item.source.title}) {why}")
    item.sampler, item.counter, item.period_s = _power_sampler(item.source), False, POWER_PERIOD_S


def _power_sampler(source: Source) -> Sampler:
    """Watch a source's power."""
    # A counter that always moves: the power beside it is then read each time.
    sampler = Sampler(time.perf_counter, beside=source.power, pause_s=POWER_PERIOD_S)
    sampler.start()
    return sampler


def _read(item: _Watched, start_s: float, stop_s: float) -> Reading:
    """One source's reading of a window."""
    source, window_s = item.source, stop_s - start_s
    warnings = list(source.notes)
    powers = [watts for seconds, watts in list(item.sampler.others) if start_s <= seconds <= stop_s]
    integrated = sum(powers) / len(powers) if powers else None
    power_w, updates = integrated, len(powers)
    if item.counter:
        ticks = item.sampler.ticks()
        inside = ticks.between(start_s, stop_s)
        power_w, updates = inside.power_w(item.period_s), len(inside)
        if inside.goes_back():
            power_w = None
            warnings.append("the counter went back within the window: it wrapped, or a driver started anew")
    if updates <= FEWEST_UPDATES:
        power_w = None
        warnings.append(
            f"{updates} updates in {window_s:.2f} s; at least {FEWEST_UPDATES + 1} are needed, "
            f"{(FEWEST_UPDATES + 2) * item.period_s:.2f} s"
        )
    if item.sampler.failure is not None:
        power_w = None
        warnings.append(f"{source.name} could not be read any more: {item.sampler.failure}")
    conditions = _conditions(source)
    if item.counter and integrated is not None:
        conditions["integrated_power_w"] = integrated
    return Reading(
        source=source.name,
        scope=source.scope,
        method=source.method,
        how=item.how,
        power_w=power_w,
        energy_j=None if power_w is None else power_w * window_s,
        window_s=window_s,
        conditions=conditions,
        warnings=tuple(warnings),
    )


def _conditions(source: Source) -> dict[str, float | str]:
    """What a reading is kept with: the card, and its temperature in °C where it says so."""
    card = _card(source)
    found: dict[str, float | str] = {} if card is None else {"card": card}
    temperature = None if source.gpu is None else _asked(source.gpu.get_gpu_temperature)
    return found if temperature is None else {**found, "temperature_c": temperature}


def _described(item: _Watched) -> dict[str, Any]:
    """One source, in the keys that the doctor shows and a campaign reads."""
    source = item.source
    told: dict[str, Any] = {
        "device": f"{source.name} ({source.title})",
        "how": item.how,
        "period_s": item.period_s,
        "read_cost_s": item.sampler.read_s / max(1, item.sampler.reads),
        "scope": source.scope,
        "method": source.method,
    }
    if source.gpu is not None:
        limit = _asked(source.gpu.get_power_management_limit)
        told["power_limit_w"] = None if limit is None else limit * MILLI
        told["default_power_limit_w"] = source.known.default_limit_w
    card = _card(source)
    if card is not None:
        told |= {"device": source.title, "index": source.index, "card": card}
    return told


def _card(source: Source) -> str | None:
    """Which card it is: a short hash of its identity, the same as the meter of NVIDIA's GPUs has."""
    uuid = source.known.uuid
    return None if uuid is None else hashlib.sha256(uuid.encode()).hexdigest()[:8]


def _asked(question: Callable[[], int]) -> float | None:
    """A GPU's answer; None where it has none."""
    try:
        return float(question())
    except Exception:  # each vendor's library has errors of its own; conditions are beside the point
        return None
