"""The engines of a run: opened, or where they measure, behind a journal that a restarted run goes on with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from llmsim.backends.contract import Engine
from llmsim.backends.recorded import RecordedWork
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment
from llmsim.measurement.grouped import Grouped
from llmsim.measurement.journal import Journal, read
from llmsim.measurement.journalled import Pieces
from llmsim.measurement.lock import backend_locks
from llmsim.measurement.recorded import Recorded, resume
from llmsim.measurement.wall import LEAST_WINDOW_S, Wall
from llmsim.measurement.windows import Windows, overhead
from llmsim.simulation.run import Run
from llmsim.simulation.tape import Tape
from llmsim.tasks.meters import open_meters
from llmsim.tasks.own import Own, own_of, require_together

log = logging.getLogger(__name__)

# Between two syncs of a journal, at least: a device must not wait for a disk after every piece of work.
SYNC_S = 1.0
FOLDER = Path("outputs") / "served"
Once = Callable[[bool, Tape | None], Run]


@dataclass
class Engines:
    """One engine a deployment.

    Attributes:
        all: in the order of the deployments.
        method: how their figures are had: simulated, measured, or estimated where the joules are.
        scope: what measured joules cover; None: what the hardware's description says.
        notes: what to know of how they measured.
        journal: of what they measured; None: they do not.
        pieces: of the journal, where it can be gone on with.
        together: refuses, for a policy of that name, models that do not fit into memory at once.
    """

    all: Sequence[Engine]
    method: str
    scope: str | None = None
    notes: list[str] = field(default_factory=list)
    journal: Journal | None = None
    pieces: Pieces | None = None
    together: Callable[[str], None] | None = None

    def require_together(self, label: str) -> None:
        """Refuse a run that needs all models at once where they do not fit, before any is loaded.

        Raises:
            InputError: with the sizes.
        """
        if self.together is not None and self.chosen(label) is None:
            self.together(label)

    def chosen(self, label: str) -> list[int] | None:
        """Where a run that was measured as a whole sent each query it served; None: there is none.

        Raises:
            InputError: it used a deployment that is not one of these.
        """
        entries = [] if self.journal is None else self.journal.entries
        for entry in entries:
            if entry["kind"] == "routes" and entry["run"] == label:
                return _renumbered(entry, [engine.name for engine in self._measuring()])
        return None

    def _measuring(self) -> list[Recorded]:
        return [engine for engine in self.all if isinstance(engine, Recorded)]

    def play(self, label: str, once: Once, tape: Tape | None, planned: bool) -> Run:
        """One policy's run.

        What was measured is played again from the journal: only when all is done is it known how many
        joules each piece of work took.

        Args:
            label: of the run.
            once: plays it from the beginning; told whether it will be played again.
            tape: of the run itself.
            planned: who serves what is known beforehand. Deployments then do not touch each other, and each
                is run by itself, so that one model at a time is in memory.
        """
        measuring = self._measuring()
        if not measuring or self.chosen(label) is not None:
            return self._again(label, once, tape)
        turns = [[engine] for engine in measuring] if planned else [measuring]
        if self.pieces is not None:
            for turn in turns:
                resume(label, turn, self.pieces)
        for turn in turns:
            for engine in measuring:
                engine.muted = engine not in turn
                engine.run(label)
            once(True, None)
            for engine in turn:
                engine.finish()
                if planned and len(measuring) > 1:
                    engine.close()
        run = self._again(label, once, tape)
        if self.journal is not None and self.journal.writable:
            names = [engine.name for engine in measuring]
            chosen = run.ledger.deployment.tolist()
            self.journal.append({"kind": "routes", "run": label, "deployments": names, "chosen": chosen})
        return run

    def _again(self, label: str, once: Once, tape: Tape | None) -> Run:
        """Play what is in the journal."""
        for engine in self._measuring():
            engine.muted = False
            engine.run(label)
        return once(False, tape)


def _renumbered(entry: Mapping[str, Any], names: Sequence[str]) -> list[int]:
    """Choices of a run as indices of these deployments."""
    known, chosen = entry["deployments"], entry["chosen"]
    missing = sorted({known[index] for index in chosen} - set(names))
    if missing:
        raise InputError(
            f"'{entry['run']}' was measured with {', '.join(missing)}, which this run lacks. "
            f"Its deployments: {', '.join(names)}."
        )
    place = [names.index(name) if name in names else -1 for name in known]
    return [place[index] for index in chosen]


@contextmanager
def opened_engines(config: Config, backend: Any, deployments: Sequence[Deployment]) -> Iterator[Engines]:
    """The engines of a run, closed at its end.

    Raises:
        InputError: a device that another process measures with.
    """
    if isinstance(backend, RecordedWork):
        yield _from_journal(backend, deployments)
        return
    owns = own_of(config, backend, deployments)
    if backend.method == "simulated":
        engines = Engines(
            [own.backend.open(item) for own, item in zip(owns, deployments, strict=True)], backend.method
        )
        yield engines
        for engine in engines.all:
            engine.close()
        return
    wall = _wall(config, deployments)
    path = FOLDER / f"{config.work_sha256()[:12]}.jsonl"
    with ExitStack() as stack:
        stack.enter_context(backend_locks((own.device, own.backend) for own in owns))
        journal = stack.enter_context(Journal(path, sync_s=SYNC_S))
        windows, missing = _windows(config, owns, deployments, stack)
        pieces = Pieces(journal)
        recorded = [
            Recorded(item.name, partial(own.backend.open, item), journal, windows[own.device], pieces, wall)
            for own, item in zip(owns, deployments, strict=True)
        ]
        for engine in recorded:
            stack.callback(engine.close)
        together = partial(require_together, owns, deployments)
        found = Engines(recorded, backend.method, journal=journal, pieces=pieces, together=together)
        yield found
        found.method, found.scope = _how(journal)
        if any(engine.live for engine in recorded):  # what was played only has the joules it had
            found.notes += missing
        found.notes += [*_mixed(journal), *_told(recorded, journal)]
        found.notes.append(f"Journal: {path}; the same command goes on with it.")


def _wall(config: Config, deployments: Sequence[Deployment]) -> Wall | None:
    """The wall clock, where it is chosen.

    Raises:
        InputError: with more than one instance, or another discipline.
    """
    if config.clock != "wall":
        return None
    one = deployments[0]
    if len(deployments) > 1 or one.instances > 1 or one.discipline != "continuous":
        said = "; ".join(f"{item.name}: {item.instances} x {item.discipline}" for item in deployments)
        raise InputError(
            "clock=wall runs one deployment of one instance under the continuous discipline, and these are "
            f"{said}. Several would wait for each other on one device, which on devices of their own they "
            "would not; batches that start and end together need no clock but clock=simulated. Choose one "
            "model, fleet=one_each and fleet.serving.discipline=continuous."
        )
    return Wall()


def _windows(
    config: Config, owns: Sequence[Own], deployments: Sequence[Deployment], stack: ExitStack
) -> tuple[dict[str, Grouped], list[str]]:
    """The windows of each device's work, by its own meters, and why some have none."""
    found: dict[str, Grouped] = {}
    missing: list[str] = []
    devices = dict.fromkeys(own.device for own in owns)
    for device in devices:
        here = [(own, item) for own, item in zip(owns, deployments, strict=True) if own.device == device]
        own, served = here[0][0], [item for _, item in here]
        meters, reasons = open_meters(replace(config, meter=own.meter), own.backend)
        for meter in meters:
            stack.callback(meter.close)
        idle_w = _idle_w(served)
        found[device] = (
            Grouped(meters, idle_w, longer_s=LEAST_WINDOW_S)
            if config.clock == "wall"
            else Grouped(meters, idle_w)
        )
        who = f"{', '.join(item.name for item in served)}: " if len(devices) > 1 else ""
        missing += [f"{who}{reason}" for reason in reasons]
    return found, missing


def _mixed(journal: Journal) -> list[str]:
    """Says which joules were had how, where not all were had alike."""
    known: dict[str, list[str]] = {}
    for entry in journal.entries:
        if entry["kind"] == "joules" and entry["energy_j"] is not None:
            names = known.setdefault(f"{entry['method']} ({entry['scope']})", [])
            if entry["deployment"] not in names:
                names.append(entry["deployment"])
    if len(known) < 2:
        return []
    said = "; ".join(f"{how}: {', '.join(names)}" for how, names in sorted(known.items()))
    return [f"Joules were not had alike: {said}. Their sum is an estimate where one of them is."]


def _from_journal(backend: RecordedWork, deployments: Sequence[Deployment]) -> Engines:
    """Engines that have a journal and no device."""
    path = backend.journal
    journal = read(path)
    pieces = Pieces(journal)
    engines = [
        Recorded(item.name, partial(backend.open, item), journal, Grouped([]), pieces) for item in deployments
    ]
    method, scope = _how(journal)
    notes = [f"Played from a journal: {path}.", *_mixed(journal), *_told(engines, journal)]
    return Engines(engines, method, scope, notes, journal)


def _idle_w(deployments: Sequence[Deployment]) -> float | None:
    """What one device draws between two pieces of work, where all are of one kind that says it."""
    known = {item.idle_power_w for item in deployments}
    return known.pop() if len(known) == 1 else None


def _how(journal: Journal) -> tuple[str, str | None]:
    """How the joules of a run were had, and what they cover: an estimate in a sum makes it one."""
    known = [
        entry for entry in journal.entries if entry["kind"] == "joules" and entry["energy_j"] is not None
    ]
    if not known:
        return "measured", None
    methods = {entry["method"] for entry in known}
    scopes = sorted({entry["scope"] for entry in known})
    return "estimated" if "estimated" in methods else "measured", " and ".join(scopes)


def _told(engines: Sequence[Recorded], journal: Journal) -> list[str]:
    """What was run, how it was grouped into windows, and what the wall clock saw beside it."""
    live = sum(engine.live for engine in engines)
    pieces = sum(entry["kind"] == "work" for entry in journal.entries)
    said = f"{pieces:,} pieces of work were run on the device, {live:,} of them now"
    windows = Windows.of(journal.entries).said()
    notes = [f"{said}." if windows else f"{said}; none has joules.", windows, overhead(journal.entries)]
    return [note for note in notes if note]
