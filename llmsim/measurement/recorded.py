"""An engine whose work is journalled as it ends, and not done again after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from llmsim.backends.contract import Advance, Engine, PreparingEngine, StepEngine, WarmingEngine, Work
from llmsim.curves.cost import IntArray
from llmsim.errors import InputError, did_you_mean
from llmsim.measurement.grouped import Grouped, Share
from llmsim.measurement.journal import Journal
from llmsim.measurement.journalled import Name, Pieces, Record, named
from llmsim.measurement.wall import Wall

# So long a time holds one step of any engine.
ONE_STEP_S = 1e-9


class Recorded:
    """One deployment's engine behind a journal of what it did.

    A piece of work is known by its run, its deployment, its number in that, and what was asked. What the
    journal has is answered from it; the engine is opened, and told of the queries that are in, when the first
    piece comes that the journal lacks. So a journal that is whole is played again without a device.

    Args:
        name: of the deployment.
        opened: makes the engine.
        journal: open; shared by all deployments of a run.
        grouped: joules of the work; shared by all on one device.
        pieces: of the journal; shared by all deployments of a run that is measured.
        wall: of a run on the wall clock; None: the clock stands still between pieces of work.

    Attributes:
        name: the deployment's.
        live: pieces of work that were run, not read.
        muted: nothing is run nor read, and everything takes no time: another deployment has its turn.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[], Engine],
        journal: Journal,
        grouped: Grouped,
        pieces: Pieces | None = None,
        wall: Wall | None = None,
    ) -> None:
        self.name, self._opened, self._journal, self._grouped = name, opened, journal, grouped
        self._engine: Engine | None = None
        self._expected: list[tuple[IntArray, IntArray]] = []
        self._pieces = Pieces(journal) if pieces is None else pieces
        self._wall = wall
        self._at_s = 0.0
        self.live = 0
        self.muted = False
        self.run("")

    def run(self, label: str) -> None:
        """What follows belongs to this run: another policy's work is never this one's."""
        self._label, self._number = label, 0
        self._stepper: StepEngine | None = None
        self._begun: tuple[int, int] | None = None
        self._awake = False
        self._held: dict[int, dict[int, int]] = {}
        if self._wall is not None:
            self._wall.reset()

    def at(self, start_s: float) -> None:
        """See `TimedEngine`."""
        self._at_s = start_s

    def lost(self) -> Name | None:
        """The first piece that must be done anew where the run was broken off; None: there is none.

        What was done in a meter's window that was never closed has no joules. On the wall clock there is no
        going on in the middle.
        """
        if self._wall is not None:
            name = (self._label, self.name, 0)
            return name if name in self._pieces.work else None
        return self._pieces.uncounted(self._label, self.name) if self._grouped.meters else None

    def set_aside(self, first: Name, label: str) -> None:
        """Keep the run's pieces from this one on under another label; they are done anew."""
        entry = {"kind": "set_aside", **named(first), "as": label}
        self._journal.append(entry)
        self._pieces.note(entry)

    def finish(self) -> None:
        """The run is over: what joules are still open are counted."""
        self._keep(self._grouped.flush())

    def close(self) -> None:
        """Release the device; it is opened again when there is more to run."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._stepper, self._awake = None, None, False

    def expect(self, tau_in: IntArray, tau_out: IntArray) -> None:
        """See `Engine`."""
        self._expected.append((tau_in, tau_out))
        if self._engine is not None:
            self._engine.expect(tau_in, tau_out)

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """See `Engine`."""
        asked = {"do": "serve", "tau_in": list(tau_in), "tau_out": list(tau_out)}
        took = self._take(asked, lambda: vars_of(self._live().serve(tau_in, tau_out)))
        return Advance(took["runtime_s"], took["first_token_s"], took["energy_j"])

    def begin(self, instances: int, max_batch: int) -> None:
        """See `StepEngine`."""
        self._begun = (instances, max_batch)
        self._held = {number: {} for number in range(instances)}

    def prefill(self, instance: int, queries: Sequence[int], tokens: Sequence[int]) -> Work:
        """See `StepEngine`."""
        asked = {"do": "prefill", "instance": instance, "queries": list(queries), "tokens": list(tokens)}
        took = self._take(asked, lambda: vars_of(self._stepping().prefill(instance, queries, tokens)))
        for query, count in zip(queries, tokens, strict=True):
            self._held[instance][query] = count + 1
        return Work(took["runtime_s"], took["energy_j"], busy_s=took.get("busy_s"))

    def decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """See `StepEngine`."""
        # Infinity is no JSON.
        until = None if until_s == float("inf") else until_s
        asked = {"do": "decode", "instance": instance, "most_steps": most_steps, "until_s": until}
        took = self._take(asked, lambda: vars_of(self._decode(instance, most_steps, until_s)))
        for query in self._held[instance]:
            self._held[instance][query] += took["steps"]
        return Work(took["runtime_s"], took["energy_j"], took["steps"], took.get("busy_s"))

    def _decode(self, instance: int, most_steps: int, until_s: float) -> Work:
        """On the wall clock part of the time is over when the steps begin."""
        if self._wall is not None:
            until_s = max(until_s + min(self._wall.ahead_s(self._at_s), 0.0), ONE_STEP_S)
        return self._stepping().decode(instance, most_steps, until_s)

    def release(self, instance: int, queries: Sequence[int]) -> None:
        """See `StepEngine`."""
        for query in queries:
            del self._held[instance][query]
        if self._awake:
            self._stepping().release(instance, queries)

    def _take(self, asked: Record, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a piece of work took: from the journal, or done now and put there."""
        if self.muted:
            return {
                "runtime_s": 0.0,
                "first_token_s": 0.0,
                "energy_j": None,
                "steps": asked.get("most_steps"),
            }
        name = (self._label, self.name, self._number)
        self._number += 1
        known = self._pieces.work.get(name)
        if known is not None:
            if known["asked"] != asked:
                raise InputError(
                    f"{self._journal.path}: piece {name[2]} of '{name[0]}' on {name[1]} was {known['asked']} "
                    f"when the journal was written, and is {asked} now: other words (workload, fleet) or "
                    "another version decide otherwise. Give the words that it was measured with, or move it "
                    "away to measure anew."
                )
            return {**known["took"], "energy_j": self._pieces.joules.get(name)}
        if not self._journal.writable:
            raise self._ended(name, asked)
        self._wake(asked["do"])
        if asked["do"] == "serve" and not self._grouped.open and isinstance(self._engine, PreparingEngine):
            self._engine.prepare(asked["tau_in"], asked["tau_out"])
        self._wait()
        self._grouped.before()
        took = work()
        self.live += 1
        busy_s = took["runtime_s"]
        if self._wall is not None:  # from the boundary on, at which there was something to do
            took |= {"runtime_s": max(busy_s, -self._wall.ahead_s(self._at_s)), "busy_s": busy_s}
        shares = self._grouped.after(name, busy_s)  # a window that is closed is closed first
        entry = {"kind": "work", **named(name), "asked": asked, "took": took, "ended_unix_s": time.time()}
        self._journal.append(entry)
        self._pieces.note(entry)
        self._keep(shares)
        if not self._grouped.open:
            self._journal.sync()  # between two windows a device may wait for the disk
        return {**took, "energy_j": self._pieces.joules.get(name)}

    def _wait(self) -> None:
        """On the wall clock: until the query has come for which there is something to do."""
        if self._wall is None:
            return
        ahead_s = self._wall.ahead_s(self._at_s)
        if ahead_s > 0.0:
            self._keep(self._grouped.idle(ahead_s))
            self._journal.sync()
            self._wall.rest(max(0.0, self._wall.ahead_s(self._at_s)))

    def _wake(self, doing: str) -> None:
        """Open the engine, and bring its batch to where the journal ends."""
        if self._engine is not None and (doing == "serve" or self._awake):
            return
        self._keep(self._grouped.flush())  # what follows is nobody's work
        opened = self._engine is None
        if self._engine is None:
            self._engine = self._opened()
            for tau_in, tau_out in self._expected:
                self._engine.expect(tau_in, tau_out)
        if doing != "serve":
            self._awake = True
            if self._begun is not None:
                self._stepping().begin(*self._begun)
        if isinstance(self._engine, WarmingEngine) and (opened or doing != "serve"):
            self._engine.warm()
        if doing == "serve":
            return
        for instance, held in self._held.items():
            if held:  # each has had its next token already: the last step is done again, and not counted
                self._stepping().prefill(instance, list(held), [count - 1 for count in held.values()])

    def _ended(self, name: Name, asked: Record) -> InputError:
        """What is missing where nothing can be run."""
        path, (run, deployment, number) = self._journal.path, name
        known = sorted({key[0] for key in self._pieces.work})
        if not known:
            return InputError(f"{path}: no measured work is in it; expected the journal of a measured run.")
        if run not in known:
            return InputError(f"{path}: no run '{run}'. {did_you_mean(run, known, 'run')}")
        return InputError(
            f"{path}: the journal of '{run}' ends on {deployment} before piece {number}, which is "
            f"{asked['do']}: it was cut off, or is of another configuration. The backend that measured it "
            "goes on with it."
        )

    def _live(self) -> Engine:
        if self._engine is None:
            raise InputError(f"{self.name}: the engine is not open.")
        return self._engine

    def _stepping(self) -> StepEngine:
        if self._stepper is not None:  # to look for its methods each time would take longer than a short step
            return self._stepper
        engine = self._live()
        if not isinstance(engine, StepEngine):
            raise InputError(
                f"{self.name}: this backend runs whole batches only, and the continuous discipline needs "
                "single iterations. Choose fleet.serving.discipline=static."
            )
        self._stepper = engine
        return engine

    def _keep(self, shares: Sequence[Share]) -> None:
        entries = [
            {
                "kind": "joules",
                **named(share.name),
                "energy_j": share.energy_j,
                "window_s": share.window_s,
                "members": share.members,
                "idle_s": share.idle_s,
                "idle_j": share.idle_j,
                "warnings": list(share.warnings),
                "method": share.method,
                "scope": share.scope,
            }
            for share in shares
        ]
        if entries:
            self._journal.append(*entries)
        for entry in entries:
            self._pieces.note(entry)


def resume(label: str, engines: Sequence[Recorded], pieces: Pieces) -> None:
    """Go on with a run that was broken off.

    Args:
        engines: of deployments among which the run chooses as it goes. Where work of one is done anew, so is
            what any of them did after it: it may take another time, and the run may then choose otherwise.
        pieces: what they have in common.
    """
    for engine in engines:
        engine.run(label)
    lost = [name for engine in engines if (name := engine.lost()) is not None]
    if not lost:
        return
    order = {name: place for place, name in enumerate(pieces.work)}
    kept_as = pieces.free_name(label)
    by_name = {engine.name: engine for engine in engines}
    for first in pieces.from_on(min(lost, key=order.__getitem__), by_name):
        by_name[first[1]].set_aside(first, kept_as)


def vars_of(result: Advance | Work) -> dict[str, Any]:
    """A result's figures by name."""
    if isinstance(result, Advance):
        return {"runtime_s": result.runtime_s, "first_token_s": result.first_token_s}
    return {"runtime_s": result.runtime_s, "steps": result.steps}
